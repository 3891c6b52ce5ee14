"""NAS-Bench-201: cells as lists of operators, and what whole networks of them took on two Jetsons."""

from __future__ import annotations

from pathlib import Path

from hwtickets.space.operators import OperatorSpec

from .common import read_csv

#: Edges of a cell as (from node, to node), in the order of the source's columns.
_EDGES = {"e01": (0, 1), "e02": (0, 2), "e12": (1, 2), "e03": (0, 3), "e13": (1, 3), "e23": (2, 3)}
_STAGES = ((16, 32), (32, 16), (64, 8))
_CELLS_A_STAGE = 5
_CLASSES = 10
#: Networks whose output is constant are removed by the runtime.
_LEAST_MS = 0.5


def measured(data: Path, column: str) -> dict[str, tuple[list[OperatorSpec], float]]:
    """Networks with their operators and latency in ms, by index.

    Args:
        data: Folder of the measurements.
        column: Of `nb201_edge.csv`.
    """
    cells = {
        row["arch_idx"]: {edge: row[edge] for edge in _EDGES}
        for row in read_csv(data / "networks" / "nb201_archs.csv")
    }
    found = {}
    for row in read_csv(data / "networks" / "nb201_edge.csv"):
        if row[column] and float(row[column]) >= _LEAST_MS:
            found[row["arch_idx"]] = (operators(cells[row["arch_idx"]]), float(row[column]))
    return found


def operators(cell: dict[str, str]) -> list[OperatorSpec]:
    """The network of a cell on CIFAR-10, without the operators that do nothing or whose result is not used.

    Convolutions are preceded by a ReLU, which cannot be fused backwards, and followed by a folded batch norm.
    """
    specs = [OperatorSpec("conv", 3, 16, 3, 1, 1, 32, 32)]
    live = _live(cell)
    for stage, (channels, pixels) in enumerate(_STAGES):
        if stage > 0:
            specs += _reduction(channels // 2, channels, 2 * pixels)
        specs += _CELLS_A_STAGE * _cell(live, channels, pixels)
    specs.append(OperatorSpec("relu", 64, 64, height=8, width=8))
    return [*specs, OperatorSpec("pool", 64, 64, height=8, width=8), OperatorSpec("linear", 64, _CLASSES)]


def _live(cell: dict[str, str]) -> dict[str, str]:
    """The edges on a path from the cell's input to its output."""
    edges = {name: kind for name, kind in cell.items() if kind != "none"}
    reached, needed = {0}, {3}
    for _ in range(3):
        reached |= {_EDGES[name][1] for name in edges if _EDGES[name][0] in reached}
        needed |= {_EDGES[name][0] for name in edges if _EDGES[name][1] in needed}
    return {
        name: kind for name, kind in edges.items() if _EDGES[name][0] in reached and _EDGES[name][1] in needed
    }


def _cell(live: dict[str, str], channels: int, pixels: int) -> list[OperatorSpec]:
    plain = OperatorSpec("add", channels, channels, height=pixels, width=pixels)
    specs = []
    for kind in live.values():
        if kind.startswith("nor_conv"):
            kernel = 3 if kind == "nor_conv_3x3" else 1
            specs.append(OperatorSpec("relu", channels, channels, height=pixels, width=pixels))
            specs.append(OperatorSpec("conv", channels, channels, kernel, 1, 1, pixels, pixels))
        elif kind == "avg_pool_3x3":
            specs.append(OperatorSpec("avgpool", channels, channels, 3, 1, 1, pixels, pixels))
    into = [_EDGES[name][1] for name in live]
    return specs + [plain] * sum(into.count(node) - 1 for node in set(into))


def _reduction(c_in: int, c_out: int, pixels: int) -> list[OperatorSpec]:
    """The residual block between two stages: two 3x3 convolutions beside an average pool and a 1x1."""
    half = pixels // 2
    return [
        OperatorSpec("relu", c_in, c_in, height=pixels, width=pixels),
        OperatorSpec("conv", c_in, c_out, 3, 2, 1, pixels, pixels, "relu"),
        OperatorSpec("conv", c_out, c_out, 3, 1, 1, half, half),
        OperatorSpec("avgpool", c_in, c_in, 2, 2, 1, pixels, pixels),
        OperatorSpec("conv", c_in, c_out, 1, 1, 1, half, half),
        OperatorSpec("add", c_out, c_out, height=half, width=half),
    ]

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hwtickets.space.operators import GraphBuilder, OperatorGraph
from hwtickets.tables.table import Calibration, LatencyTable, Row


class ToySpace:
    """Two blocks of two branches over 8x8 images; all that a table needs to know of a search space."""

    name = "toy"
    input_shape = (1, 8, 8)
    units: Mapping[str, object] = {
        f"{block}.{branch}": None for block in ("b0", "b1") for branch in ("k3", "k5")
    }

    def widths_allowed(self, unit: str, alignment: int) -> list[int]:
        return list(range(0, 33, alignment))

    def dense(self) -> dict[str, int]:
        return dict.fromkeys(self.units, 32)

    def forms(self) -> dict[str, list[str]]:
        return {"b0": ["split", "merged"], "b1": ["split", "merged"]}

    def graph(self, widths: Mapping[str, int], forms: Mapping[str, str] | None = None) -> OperatorGraph:
        builder = GraphBuilder(*self.input_shape)
        x = builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
        for block in ("b0", "b1"):
            hidden = {kernel: widths[f"{block}.k{kernel}"] for kernel in (3, 5)}
            hidden = {kernel: width for kernel, width in hidden.items() if width}
            if not hidden:
                continue
            if (forms or {}).get(block) == "merged":
                hidden = {max(hidden): sum(hidden.values())}
            parts = []
            for kernel, width in hidden.items():
                part = builder.conv(block, f"expand_k{kernel}", x, width, activation="relu")
                parts.append(builder.conv(block, f"depthwise_k{kernel}", part, width, kernel, groups=width))
            joined = builder.concat(block, "concat", parts) if len(parts) > 1 else parts[0]
            x = builder.conv(block, "project", joined, 16, residual=x)
        builder.linear("head", "classifier", builder.pool("head", "pool", x), 4)
        return builder.graph


@pytest.fixture(scope="session")
def space() -> ToySpace:
    return ToySpace()


@pytest.fixture
def table(space: ToySpace) -> LatencyTable:
    """Every operator costs 1 us and 1 us for each 100,000 MACs, all with 10 % doubt."""
    graphs = [space.graph(dict.fromkeys(space.units, width)) for width in (16, 32)]
    specs = {operator.spec for graph in graphs for operator in graph}
    rows = {spec: Row(1e-3 + spec.macs / 1e8, 1e-4, 100, 2) for spec in sorted(specs, key=repr)}
    return LatencyTable(
        "cpu",
        "onnxruntime",
        "fp32",
        batch=1,
        alignment=16,
        fingerprint={"cpu": "toy"},
        rows=rows,
        calibration=Calibration(0.002, 1.1, 0.0005),
        error={"p90_error": 0.05, "within_10": 1.0},
        provenance={"space": "toy", "seed": 0},
    )

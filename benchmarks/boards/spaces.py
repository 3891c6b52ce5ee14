"""Reads the spaces that have one row a network and one column a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.boards.cases import Case, Networks, Vector, case
from benchmarks.boards.reading import Folders, Row, latency_columns, unique
from hwtickets.errors import HwticketsError
from hwtickets.prediction.cell import OPERATIONS, Cell
from hwtickets.prediction.cells import cell_features, cell_macs
from hwtickets.prediction.chains import (
    FBNET_BLOCKS,
    OfaNetwork,
    fbnet_features,
    fbnet_operators,
    ofa_features,
)
from hwtickets.prediction.features import indicators
from hwtickets.prediction.operators import operator_macs

#: A constant output lets TensorFlow Lite drop the whole cell.
_NOTHING_LEFT_MS = 0.5
_EMPTIED = (
    "nb201_edge/raspi4_hwnasbench",
    "nb201_edge/pixel3_hwnasbench",
    "nb201_help/raspi4",
    "nb201_help/pixel3",
)
#: Two campaigns on the same kind of device.
_TWINS = {
    "nb201_edge/edgetpu_int8_eagle": "edgetpu_hwnasbench_ms",
    "nb201_edge/edgetpu_hwnasbench": "edgetpu_int8_eagle_ms",
}
_MODELS = ("eyeriss", "fpga")
_REMARKS = {
    "nb201_edge/desktop_eagle_suspect": "of an unknown device",
    "fbnet_help/raspi4": "sums of a table of blocks, not measured as a whole",
    "fbnet_help/pixel3": "sums of a table of blocks, not measured as a whole",
}


@dataclass(frozen=True)
class Space:
    """A file of measurements and how its networks are described.

    Attributes:
        file: Name of the file of latencies.
        described: Name of the file of networks.
        key: Column that both have.
        columns: Columns of the networks that are needed.
        describe: From rows of networks to networks.
    """

    file: str
    described: str
    key: str
    columns: Sequence[str]
    describe: Callable[[Sequence[Row]], Networks]

    def cases(self, folders: Folders) -> Iterator[Case]:
        """Every device that both sides have measured."""
        both = folders.both(self.file, [self.key])
        rows = folders.description(self.described, [self.key, *self.columns], self.file) if both else None
        if both is None or rows is None:
            return
        known = unique(rows, self.key)
        sides = [unique(side, self.key) for side in both]
        for side, name in zip(sides, both, strict=True):
            if len(side) < len(name):
                folders.notes.append(
                    f"{self.file}: {len(name) - len(side)} rows are there twice; the first counts"
                )
        networks = [self.describe([self._known(row, known) for row in side.values()]) for side in sides]
        for column in latency_columns(both[0]):
            if column not in (both[1][0].cells if both[1] else ()):
                folders.notes.append(f"{self.file}: {column} skipped, not in {folders.test}")
                continue
            yield self._case(column, [list(side.values()) for side in sides], networks)

    def _known(self, row: Row, known: Mapping[tuple[str, ...], Row]) -> Row:
        found = known.get((row.text(self.key),))
        if found is None:
            raise row.wrong(self.key, f"{self.described} does not describe network {row.cells[self.key]}")
        return found

    def _case(self, column: str, sides: Sequence[Sequence[Row]], networks: Sequence[Networks]) -> Case:
        device = f"{self.file.removesuffix('.csv')}/{column.removesuffix('_ms')}"
        latencies = [np.array([row.latency_ms(column) for row in side]) for side in sides]
        twin = _TWINS.get(device, "")
        twins = [row.latency_ms(twin) for row in sides[0]] if sides[0] and twin in sides[0][0].cells else None
        return case(
            device,
            networks,
            latencies,
            _NOTHING_LEFT_MS if device in _EMPTIED else 0.0,
            np.array(twins) if twins else None,
            _remark(device, np.concatenate(latencies)),
        )


def _remark(device: str, latency_ms: Vector) -> str:
    if any(model in device for model in _MODELS):
        return "a model of the device, not measured"
    if device in _REMARKS:
        return _REMARKS[device]
    known = latency_ms[np.isfinite(latency_ms)]
    return "whole milliseconds" if len(known) and (known == np.round(known)).all() else ""


def _cells(rows: Sequence[Row]) -> Networks:
    cells = [_cell(row) for row in rows]
    return Networks(
        cell_features(cells),
        cell_macs(cells),
        indicators([cell.kept for cell in cells], OPERATIONS[1:]),
        [row.text("iso_group") for row in rows],
        [cell.graph for cell in cells],
        _order(rows, "arch_idx"),
    )


def _cell(row: Row) -> Cell:
    try:
        return Cell.parse(row.text("arch_str"))
    except HwticketsError as error:
        raise row.wrong("arch_str", str(error)) from error


def _fbnets(rows: Sequence[Row]) -> Networks:
    blocks = [[row.text(f"op{slot}") for slot in range(22)] for row in rows]
    for row, network in zip(rows, blocks, strict=True):
        for slot, block in enumerate(network):
            if block not in FBNET_BLOCKS:
                raise row.wrong(f"op{slot}", f"'{block}' is no block of FBNet")
    names = [row.text("net_idx") for row in rows]
    return Networks(
        fbnet_features(blocks),
        operator_macs([fbnet_operators(network) for network in blocks]),
        indicators(blocks, FBNET_BLOCKS[:-1]),
        names,
        names,
        _order(rows, "net_idx"),
    )


def _ofas(rows: Sequence[Row]) -> Networks:
    networks = [
        OfaNetwork(
            int(row.number("resolution")), _whole(row, "ks"), _whole(row, "expand"), _whole(row, "depth")
        )
        for row in rows
    ]
    macs = operator_macs([network.operators() for network in networks])
    depths = np.array([network.depths for network in networks], float).reshape(len(networks), -1)
    names = [row.text("net_idx") for row in rows]
    return Networks(
        ofa_features(networks),
        macs,
        np.hstack([depths, macs[:, None]]),
        names,
        names,
        _order(rows, "net_idx"),
    )


def _whole(row: Row, column: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in row.text(column).split())
    except ValueError as error:
        raise row.wrong(column, f"'{row.cells[column]}' are no whole numbers") from error


def _order(rows: Sequence[Row], column: str) -> Vector:
    return np.array([row.number(column) for row in rows], float)


SPACES = (
    Space("nb201_edge.csv", "nb201_archs.csv", "arch_idx", ("arch_str", "iso_group"), _cells),
    Space("nb201_help.csv", "nb201_archs.csv", "arch_idx", ("arch_str", "iso_group"), _cells),
    Space("fbnet_help.csv", "fbnet_archs.csv", "net_idx", [f"op{slot}" for slot in range(22)], _fbnets),
    Space(
        "ofa_mbv3_help.csv", "ofa_mbv3_archs.csv", "net_idx", ("resolution", "ks", "expand", "depth"), _ofas
    ),
)

"""Reads the named networks that were run in ncnn on a hundred boards, phones and PCs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.boards.cases import Matrix, Vector
from benchmarks.boards.reading import Folders, Row

FILE = "ncnn_networks.csv"
_LAYERS = "ncnn_layers.csv"
_RUN = ("device", "run_id", "num_threads", "powersave", "gpu_device")
_LATENCIES = ("min_ms", "max_ms", "avg_ms")
_QUANTISED = "_int8"
_PRODUCTS = ("InnerProduct", "Gemm", "MultiHeadAttention")
#: Scales of the traits, such that 1 is a marked difference: shares of the arithmetic, standard deviations of
#: the rest.
_SHARES, _TOTALS = 4 / 3, 1 / 3


@dataclass(frozen=True)
class Run:
    """One invocation of ncnn's benchmark: a device and a way to use it.

    Attributes:
        device: As its owner described it.
        run_id: Tells runs of the same kind apart.
        threads: Threads of the processor.
        powersave: Which cores: 0 all, 1 little, 2 big ones.
        gpu: Number of the Vulkan device; "" for the processor.
    """

    device: str
    run_id: str
    threads: str
    powersave: str
    gpu: str

    @property
    def kind(self) -> str:
        """Runs of a kind behave alike."""
        return "gpu" if self.gpu else "cpu, 1 thread" if self.threads == "1" else "cpu, threads"

    @property
    def name(self) -> str:
        """The device without its description, e.g. "nvidia-jetson-nano/cpu-4"; not always unique."""
        plain = re.sub(r"\(R\)|[®™]", "", self.device)
        device = re.sub(r"[^a-z0-9]+", "-", re.split("[(,]", plain)[0].lower()).strip("-")
        cores = f"-powersave{self.powersave}" if self.powersave != "0" else ""
        return f"{device}/{'gpu' + self.gpu if self.gpu else 'cpu'}-{self.threads}{cores}"


@dataclass(frozen=True)
class FleetData:
    """Runs and networks of both sides.

    Attributes:
        runs: All of them, and
        names: their names, unique.
        families: Of each network: a network and its quantised twin are one.
        fit_ms: Average latencies, (runs, networks), NaN where it was not measured or is kept back.
        test_ms: The same of what is kept back.
        traits: What is known of each network, (networks, dimensions).
        macs: Multiply-accumulates of each.
        ranges: Half of the range of the repeated runs over their average, of each measurement of the fit.
    """

    runs: list[Run]
    names: list[str]
    families: list[str]
    fit_ms: Matrix
    test_ms: Matrix
    traits: Matrix
    macs: Vector
    ranges: Vector


def read_fleet(folders: Folders) -> FleetData | None:
    """What both folders hold; None, with a note, if a file is missing."""
    both = folders.both(FILE, [*_RUN, "network", *_LATENCIES])
    needed = ("network", "type", "k_h", "groups", "c_in", "in_shape", "out_shape", "weights", "macs")
    layers = folders.description(_LAYERS, needed, FILE) if both else None
    if both is None or layers is None:
        return None
    described: dict[str, list[Row]] = {}
    for layer in layers:
        described.setdefault(layer.text("network"), []).append(layer)
    found = {row.text("network") for side in both for row in side}
    for name in sorted(found - described.keys()):
        folders.notes.append(f"{FILE}: network {name} skipped, {_LAYERS} does not describe it")
    networks = sorted(found & described.keys())
    runs = sorted({_run(row) for side in both for row in side}, key=lambda run: (run.name, run.run_id))
    totals = np.array([_totals(described[name]) for name in networks]).reshape(len(networks), -1)
    fit_ms, test_ms = (_matrix(side, runs, networks) for side in both)
    return FleetData(
        runs,
        _unique_names(runs),
        [name.removesuffix(_QUANTISED) for name in networks],
        fit_ms,
        test_ms,
        _traits(networks, totals),
        totals[:, : len(_KINDS)].sum(axis=1),
        np.array([_range(row) for row in both[0] if np.isfinite(row.latency_ms("avg_ms"))]),
    )


def _run(row: Row) -> Run:
    device, run_id, threads, powersave, gpu = (row.cells[column] for column in _RUN)
    return Run(device, run_id, threads, powersave, "" if gpu == "-1" else gpu)


def _unique_names(runs: Sequence[Run]) -> list[str]:
    often = Counter(run.name for run in runs)
    return [run.name if often[run.name] == 1 else f"{run.name}-run{run.run_id}" for run in runs]


def _matrix(rows: Sequence[Row], runs: Sequence[Run], networks: Sequence[str]) -> Matrix:
    """Average latencies; of a network that one run measured twice the first counts."""
    line = {run: index for index, run in enumerate(runs)}
    column = {name: index for index, name in enumerate(networks)}
    matrix = np.full((len(runs), len(networks)), np.nan)
    for row in reversed(rows):
        if row.text("network") in column:
            matrix[line[_run(row)], column[row.text("network")]] = row.latency_ms("avg_ms")
    return matrix


def _range(row: Row) -> float:
    return (row.latency_ms("max_ms") - row.latency_ms("min_ms")) / 2 / row.latency_ms("avg_ms")


_KINDS = ("1x1", "3x3", "larger", "depthwise", "grouped", "product")


def _totals(layers: Sequence[Row]) -> list[float]:
    """Multiply-accumulates by kind of layer, then values read and written, layers, weights."""
    macs = dict.fromkeys(_KINDS, 0.0)
    values = weights = 0.0
    for layer in layers:
        kind = _layer_kind(layer.cells)
        if kind:
            macs[kind] += _count(layer, "macs")
        values += _size(layer.cells["in_shape"]) + _size(layer.cells["out_shape"])
        weights += _count(layer, "weights")
    return [*macs.values(), values, float(len(layers)), weights]


def _layer_kind(cells: Mapping[str, str]) -> str | None:
    if cells["type"] in _PRODUCTS:
        return "product"
    if cells["type"] == "ConvolutionDepthWise":
        return "depthwise" if cells["groups"] == cells["c_in"] else "grouped"
    if cells["type"] != "Convolution":
        return None
    return {"1": "1x1", "3": "3x3"}.get(cells["k_h"], "larger")


def _count(layer: Row, column: str) -> float:
    return layer.number(column) if layer.cells[column] else 0.0


def _size(shape: str) -> float:
    """Values of a tensor, "24x88x88"; of several the first."""
    sides = [int(side) for side in shape.partition(";")[0].split("x") if side.isdigit()]
    return float(np.prod(sides)) if sides else 0.0


def _traits(networks: Sequence[str], totals: Matrix) -> Matrix:
    """How the arithmetic is divided, how much of everything else there is to it, whether it is quantised."""
    macs = totals[:, : len(_KINDS)]
    sums = np.log1p(np.hstack([macs.sum(axis=1, keepdims=True), totals[:, len(_KINDS) :]]))
    sums[:, 1:] -= sums[:, :1]
    spread = np.maximum(sums.std(axis=0), 1e-9)
    quantised = np.array([[float(name.endswith(_QUANTISED))] for name in networks]).reshape(-1, 1)
    shares = macs / np.maximum(macs.sum(axis=1, keepdims=True), 1.0)
    return np.hstack([_SHARES * shares, _TOTALS * (sums - sums.mean(axis=0)) / spread, quantised])

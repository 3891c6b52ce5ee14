"""Reads torchvision's classifiers on Jetsons, with PyTorch and with TensorRT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.boards.cases import Case, Networks, case
from benchmarks.boards.reading import Folders, Row, by_device, read_rows, unique
from hwtickets.prediction import Features

_FILE = "torch2trt_jetson.csv"
_RUNTIMES = {"pytorch": "pytorch_ms", "tensorrt": "tensorrt_ms"}
#: Counted over the modules of torchvision 0.28 for one image of 224 x 224: layers, multiply-accumulates,
#: weights, and the values that convolutions read and write ("elements") and that concatenations write.
_COUNTS = Path(__file__).with_name("torchvision.csv")
_COUNTED = (
    "convolutions",
    "linears",
    "batch_norms",
    "macs",
    "grouped_macs",
    "weights",
    "elements",
    "concatenated",
)


def torchvision_cases(folders: Folders) -> Iterator[Case]:
    """Every board, precision and runtime; a handful of networks each."""
    both = folders.both(_FILE, ["device", "precision", "torchvision_model", *_RUNTIMES.values()])
    if both is None:
        return
    counts = {key[0]: row for key, row in unique(read_rows(_COUNTS, ["model", *_COUNTED]), "model").items()}
    for row in both[0] + both[1]:
        if row.text("torchvision_model") not in counts:
            folders.notes.append(f"{_FILE}: {row.cells['torchvision_model']} skipped, not in {_COUNTS.name}")
    described = [[row for row in side if row.text("torchvision_model") in counts] for side in both]
    boards = by_device(
        (described[0], described[1]), ("device", "precision"), "torchvision_model", folders, _FILE
    )
    for (board, precision), sides in boards.items():
        networks = [_networks(side, counts) for side in sides]
        for runtime, column in _RUNTIMES.items():
            latencies_ms = [np.array([row.latency_ms(column) for row in side]) for side in sides]
            yield case(f"torch2trt_jetson/{board}_{runtime}_{precision}", networks, latencies_ms)


def _networks(rows: Sequence[Row], counts: Mapping[str, Row]) -> Networks:
    names = [row.text("torchvision_model") for row in rows]
    table = np.array([[counts[name].number(column) for column in _COUNTED] for name in names])
    table = table.reshape(len(rows), len(_COUNTED))
    convolutions, linears, norms, macs, grouped, *moved = table.T
    work = np.stack([convolutions + linears, norms, macs - grouped, grouped, *moved], axis=1)
    return Networks(
        Features(work, {}),
        macs,
        np.stack([convolutions + linears, macs], axis=1),
        names,
        names,
        np.arange(len(rows), dtype=float),
    )

"""Named networks in ncnn: what a device has not run follows from what it has, and from other devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.boards.cases import Matrix, Vector
from benchmarks.boards.fleet_data import FILE, FleetData, read_fleet
from benchmarks.boards.reading import Folders
from benchmarks.boards.scores import pooled, straight_line
from hwtickets.prediction.fleet import Fleet

#: Sweeps of the additive baseline, which go from the runs' means to the networks' and back.
_SWEEPS = 30
#: Measured, predicted, by MACs, by the additive baseline, expected errors; of one run.
Values = tuple[Vector, Vector, Vector, Vector, Vector]


def ncnn_results(folders: Folders) -> list[dict[str, Any]]:
    """Scores of every run, of every kind of run and of all; nothing where there are no such files."""
    data = read_fleet(folders)
    if data is None:
        return []
    by_run = _predicted(data)
    groups = {data.names[index]: [index] for index in by_run}
    for kind in sorted({data.runs[index].kind for index in by_run}):
        groups[f"all, {kind}"] = [index for index in by_run if data.runs[index].kind == kind]
    groups["all"] = list(by_run)
    common = {
        "model": "fleet",
        "noise_floor": float(np.median(data.ranges)) if len(data.ranges) else None,
        "noise_floor_how": "half the range of repeated runs over their mean, median of all measurements",
        "campaigns_mean_error": None,
        "remark": "",
    }
    return [
        {
            "device": f"{FILE.removesuffix('.csv')}/{name}",
            "fit_n": int(np.isfinite(data.fit_ms[indices]).sum()),
            **pooled([by_run[index] for index in indices]),
            **common,
        }
        for name, indices in groups.items()
        if indices
    ]


def _predicted(data: FleetData) -> dict[int, Values]:
    """By number of the run; only those that have something to learn from and something to predict."""
    kinds = [run.kind for run in data.runs]
    devices = [run.device for run in data.runs]
    learnable = np.isfinite(data.fit_ms).any(axis=1)
    fleet = Fleet.fit(data.fit_ms, kinds, data.traits, devices, data.families)
    predicted_ms, expected = fleet.predict(data.fit_ms, kinds)
    additive_ms = _runs_and_networks(data.fit_ms)
    found = {}
    for index in np.flatnonzero(learnable & np.isfinite(data.test_ms).any(axis=1)).tolist():
        known, asked = np.isfinite(data.fit_ms[index]), np.isfinite(data.test_ms[index])
        macs = data.macs[:, None]
        macs_ms = straight_line(macs[known], data.fit_ms[index, known], macs[asked])
        rest = (matrix[index, asked] for matrix in (additive_ms, expected))
        found[index] = (data.test_ms[index, asked], predicted_ms[index, asked], macs_ms, *rest)
    return found


def _runs_and_networks(latency_ms: Matrix) -> Matrix:
    """The simple additive model: a factor for each run times one for each network; logarithms are fitted."""
    known = np.isfinite(latency_ms)
    logs = np.where(known, np.log(np.where(known, latency_ms, 1.0)), 0.0)
    run, network = np.zeros((len(logs), 1)), np.zeros((1, logs.shape[1]))
    for _ in range(_SWEEPS):
        run = np.where(known, logs - network, 0.0).sum(axis=1, keepdims=True) / np.maximum(
            known.sum(axis=1, keepdims=True), 1
        )
        network = np.where(known, logs - run, 0.0).sum(axis=0, keepdims=True) / np.maximum(
            known.sum(axis=0, keepdims=True), 1
        )
    return np.exp(run + network)

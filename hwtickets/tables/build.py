"""Building a latency table: measure networks of the space, fit the operators, calibrate, state the error."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.files import FolderLock
from hwtickets.progress import Progress
from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.accuracy import macs_accuracy, table_accuracy
from hwtickets.tables.fit import Measured, Profiled, fit_operators
from hwtickets.tables.measure import Journal, Latencies, measure_networks, profile_networks
from hwtickets.tables.sampling import Space, corner_networks, sampled_networks, space_id
from hwtickets.tables.store import save_table
from hwtickets.tables.table import LatencyTable, Row, calibrated

#: Networks to fit the operators on, for each unit of the space. More than this gained nothing (60 networks
#: for 15
#: units: median error 1.8 %, 200: 1.4 %, 300: 1.4 %).
_NETWORKS_A_UNIT = 14
_CALIBRATION_NETWORKS = 30
_CHECK_NETWORKS = 30
_PROFILED_NETWORKS = 12


def build_table(
    space: Space,
    device: DeviceProfile,
    folder: Path,
    progress: Progress,
    seed: int = 0,
    networks: int | None = None,
    resume: bool = True,
    precision: str = "fp32",
) -> LatencyTable:
    """Measures a latency table and writes it.

    Args:
        space: The search space whose operators are wanted.
        device: A device that can be reached.
        folder: Where the table is written; see `table_folder`.
        progress: Shows one stage, counted in networks.
        seed: Of the choice of networks.
        networks: How many networks the operators are fitted on; by default 14 for each unit.
        resume: Go on with an unfinished build of the same plan.
        precision: One of the device's.

    Returns:
        The table; it is also in the folder.

    Raises:
        DeviceError: The device cannot be measured from here.
        HwticketsError: The folder cannot be written or is in use.
    """
    begin_s = time.monotonic()
    with FolderLock(folder), open_bench(device, precision) as bench:
        plan = _Plan(space, device, seed, networks or _NETWORKS_A_UNIT * len(space.units))
        journal_path = folder / f"{device.runtime}-{precision}.partial.jsonl"
        if not resume:
            journal_path.unlink(missing_ok=True)
        journal = Journal(journal_path, {**plan.key, "fingerprint": dict(bench.fingerprint)})
        profiled = plan.graphs[:_PROFILED_NETWORKS]
        total = len(plan.graphs) + len(profiled)
        with progress.stage("latency table", total=total, unit="network", done=journal.count()) as stage:
            profiles = profile_networks(profiled, bench, journal, stage)
            latencies = measure_networks(plan.graphs, plan.reference, bench, journal, stage)
        rows = _rows(plan, latencies, profiles)
        table = LatencyTable(
            device.name, device.runtime, precision, 1, device.alignment, bench.fingerprint, rows
        )
        table = _proven(table, plan, latencies)
        table = replace(
            table, provenance={**plan.key, "created": _now(), "seconds": round(time.monotonic() - begin_s, 1)}
        )
        save_table(table, folder)
        journal.close()
    return table


class _Plan:
    """Which networks are measured, and for what: first for the rows, then the calibration, then the check."""

    def __init__(self, space: Space, device: DeviceProfile, seed: int, networks: int) -> None:
        corners = corner_networks(space)
        sizes = (networks, _CALIBRATION_NETWORKS, _CHECK_NETWORKS)
        parts = [
            sampled_networks(space, device.alignment, count, seed=3 * seed + part)
            for part, count in enumerate(sizes)
        ]
        self.reference = corners[0]
        self.rows = range(len(corners) + networks)
        self.calibration = range(self.rows.stop, self.rows.stop + _CALIBRATION_NETWORKS)
        self.check = range(self.calibration.stop, self.calibration.stop + _CHECK_NETWORKS)
        self.graphs: list[OperatorGraph] = [*corners, *parts[0], *parts[1], *parts[2]]
        self.key = {
            "space": space.name,
            "space_id": space_id(space),
            "input_shape": list(space.input_shape),
            "alignment": device.alignment,
            "seed": seed,
            "networks": networks,
            "calibration_networks": _CALIBRATION_NETWORKS,
            "check_networks": _CHECK_NETWORKS,
        }

    def pick(self, part: range) -> list[OperatorGraph]:
        """The networks of one part."""
        return self.graphs[part.start : part.stop]


def _rows(
    plan: _Plan, latencies: Latencies, profiles: dict[OperatorSpec, Profiled]
) -> dict[OperatorSpec, Row]:
    graphs = plan.pick(plan.rows)
    medians_ms = latencies.median_ms[plan.rows.start : plan.rows.stop].tolist()
    fit = fit_operators([Measured(graph, ms) for graph, ms in zip(graphs, medians_ms, strict=True)], profiles)
    networks: Counter[OperatorSpec] = Counter()
    runs: Counter[OperatorSpec] = Counter()
    for graph, count in zip(graphs, latencies.runs, strict=False):
        for spec in {operator.spec for operator in graph}:
            networks[spec] += 1
            runs[spec] += count
    return {
        spec: Row(latency_ms, fit.spread_ms[spec], runs[spec], networks[spec])
        for spec, latency_ms in sorted(fit.latency_ms.items(), key=lambda entry: repr(entry[0]))
    }


def _proven(table: LatencyTable, plan: _Plan, latencies: Latencies) -> LatencyTable:
    """The table with its calibration, and its error on networks that played no part in either."""
    calibration_ms = latencies.median_ms[plan.calibration.start : plan.calibration.stop]
    check_ms = latencies.median_ms[plan.check.start : plan.check.stop]
    calibration, check = plan.pick(plan.calibration), plan.pick(plan.check)
    table = calibrated(table, calibration, calibration_ms)
    error = {
        **table_accuracy(table, check, check_ms),
        **macs_accuracy(calibration, calibration_ms, check, check_ms),
        "networks": len(check),
    }
    return replace(table, error=error)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")

"""Building a latency table: measure networks of the space, fit the operators, calibrate, state the error."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from hwtickets.devices import DeviceProfile, decisive
from hwtickets.devices.several import open_boards
from hwtickets.files import FolderLock
from hwtickets.progress import Progress
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.accuracy import macs_accuracy, table_accuracy
from hwtickets.tables.campaign import Campaign, measure_plan
from hwtickets.tables.fit import Fit, fit_operators
from hwtickets.tables.measure import Journal
from hwtickets.tables.metering import with_energies
from hwtickets.tables.plan import Plan
from hwtickets.tables.sampling import Space, sampled_alignment
from hwtickets.tables.shares import fit_shares
from hwtickets.tables.steadiness import steadiness
from hwtickets.tables.store import save_table
from hwtickets.tables.table import LatencyTable, Row, calibrated


def build_table(
    space: Space,
    device: DeviceProfile,
    folder: Path,
    progress: Progress,
    seed: int = 0,
    networks: int | None = None,
    fresh: bool = False,
    precision: str = "fp32",
    others: Sequence[DeviceProfile] = (),
) -> LatencyTable:
    """Measures a latency table and writes it.

    Args:
        space: The search space whose operators are wanted.
        device: A device that can be reached.
        folder: Where the table is written; see `table_folder`.
        progress: Shows one stage, counted in networks, its total what it may take at most; and one for
            energies where a sensor answers.
        seed: Of the choice of networks.
        networks: How many networks the operators are fitted on at most, besides the largest ones; by default
            14 for each unit. Fewer where predictions are accurate before that.
        fresh: Begin anew even where an unfinished build of the same plan could go on.
        precision: One of the device's.
        others: Identical boards that share the work.

    Returns:
        The table; it is also in the folder.

    Raises:
        DeviceError: The device cannot be measured from here.
        UsageError: The others are not identical to it.
        HwticketsError: The folder cannot be written or is in use.
    """
    begin_s = time.monotonic()
    with FolderLock(folder), open_boards([device, *others], precision) as bench:
        plan = Plan(space, sampled_alignment(space, device.alignment), seed, networks)
        journal_path = folder / f"{device.runtime}-{precision}.partial.jsonl"
        if fresh:
            journal_path.unlink(missing_ok=True)
        journal = Journal(journal_path, {**plan.key, "fingerprint": decisive(bench.fingerprint)})
        if journal.dropped:
            progress.note(f"an unfinished build was of another plan ({journal.dropped}): beginning anew")
        done = journal.count("profile", "network")
        with progress.stage("latency table", total=plan.total, unit="network", done=done) as stage:
            campaign = measure_plan(plan, bench, journal, stage)
        fit = (
            fit_shares(campaign.networks, campaign.times, plan.alignment)
            if plan.coupled
            else fit_operators(campaign.networks, campaign.profiles)
        )
        table = LatencyTable(
            device.name,
            device.runtime,
            precision,
            1,
            plan.alignment,
            bench.fingerprint,
            _rows(campaign, fit),
        )
        table = _proven(table, plan, campaign)
        table = replace(
            table,
            provenance={
                **plan.key,
                "networks": len(campaign.networks),
                **steadiness(journal),
                "stopped": campaign.verdict,
                "noise": fit.noise,
                "boards": [board.name for board in (device, *others)],
                "created": _now(),
                "seconds": round(time.monotonic() - begin_s, 1),
            },
        )
        table = with_energies(table, plan, bench, journal, progress)
        save_table(table, folder)
        journal.close()
    return table


def _rows(campaign: Campaign, fit: Fit) -> dict[OperatorSpec, Row]:
    networks: Counter[OperatorSpec] = Counter()
    runs: Counter[OperatorSpec] = Counter()
    for network, count in zip(campaign.networks, campaign.runs, strict=True):
        for spec in {operator.spec for operator in network.graph}:
            networks[spec] += 1
            runs[spec] += count
    return {
        spec: Row(latency_ms, fit.spread_ms[spec], runs[spec], networks[spec])
        for spec, latency_ms in sorted(fit.latency_ms.items(), key=lambda entry: repr(entry[0]))
    }


def _proven(table: LatencyTable, plan: Plan, campaign: Campaign) -> LatencyTable:
    """The table with its calibration, and its error on networks that played no part in either."""
    table = calibrated(table, plan.calibration, campaign.calibration_ms)
    error = {
        **table_accuracy(table, plan.check, campaign.check_ms),
        **macs_accuracy(plan.calibration, campaign.calibration_ms, plan.check, campaign.check_ms),
        "networks": len(plan.check),
    }
    return replace(table, error=error)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")

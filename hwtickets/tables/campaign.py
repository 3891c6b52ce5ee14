"""Measuring all that a table needs: profiles, networks batch after batch, then calibration and check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwtickets.progress import Stage
from hwtickets.runtimes import Bench
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.measure import BATCH, Journal, measure_networks, measured, profile_networks
from hwtickets.tables.observations import Measured, Profiled, Vector
from hwtickets.tables.plan import Plan
from hwtickets.tables.planner import Batch, Planner
from hwtickets.tables.shares import Times


@dataclass(frozen=True)
class Campaign:
    """What was measured.

    Attributes:
        profiles: Profile times of some operators.
        networks: Networks that the operators are fitted on.
        times: Of those that were profiled, the first ones, what each operator took in its own profile.
        runs: Timed runs of each of them.
        calibration_ms: Latencies of the plan's networks for the calibration.
        check_ms: Latencies of the plan's networks for the check.
        verdict: Why these networks were enough.
    """

    profiles: dict[OperatorSpec, Profiled]
    networks: list[Measured]
    times: list[Times]
    runs: list[int]
    calibration_ms: Vector
    check_ms: Vector
    verdict: str


def measure_plan(plan: Plan, bench: Bench, journal: Journal, stage: Stage) -> Campaign:
    """Measures what the journal does not know yet.

    Args:
        plan: What to measure.
        bench: Where to measure.
        journal: Belongs to the plan; receives every measurement as it is made.
        stage: Is advanced by one a measurement; its total shrinks by those that are spared.
    """
    profiles = profile_networks(plan.profiled, bench, journal, stage)
    batches = _measure_operators(plan, profiles, bench, journal, stage)
    rest = [*plan.calibration, *plan.check]
    measure_networks(rest, plan.references, bench, journal, stage, first=plan.most, write=plan.write)
    graphs = [plan.pool[place] for batch in batches for place in batch.networks]
    count, calibrated = len(graphs), len(graphs) + len(plan.calibration)
    latencies = measured(journal, [*range(count), *range(plan.most, plan.most + len(rest))])
    networks = [Measured(graph, ms) for graph, ms in zip(graphs, latencies.median_ms.tolist(), strict=False)]
    records = [journal.get("profile", place) for place in range(len(plan.profiled))]
    return Campaign(
        profiles,
        networks,
        [_times(record) for record in records if record is not None],
        latencies.runs[:count],
        latencies.median_ms[count:calibrated],
        latencies.median_ms[calibrated:],
        batches[-1].verdict,
    )


def _measure_operators(
    plan: Plan, profiles: Mapping[OperatorSpec, Profiled], bench: Bench, journal: Journal, stage: Stage
) -> list[Batch]:
    """Measures the networks that the operators are fitted on until they are enough; the last batch is empty.

    The journal knows every batch before it is measured: an interrupted build goes on with the same one.
    """
    planner = Planner(plan.pool, plan.sample, profiles, plan.first, plan.most, BATCH * bench.boards)
    batches: list[Batch] = []
    done = 0
    while True:
        known = journal.get("batch", len(batches))
        batch = _batch(known) if known else _planned(planner, batches, journal, done)
        batches.append(batch)
        if batch.verdict:
            stage.spare(plan.most - done)
            return batches
        graphs = [plan.pool[place] for place in batch.networks]
        measure_networks(graphs, plan.references, bench, journal, stage, first=done)
        done += len(graphs)


def _planned(planner: Planner, batches: Sequence[Batch], journal: Journal, done: int) -> Batch:
    batch = planner.next(batches, measured(journal, range(done)).median_ms) if batches else planner.first()
    journal.put("batch", len(batches), **asdict(batch))
    return batch


def _times(record: Mapping[str, Any]) -> Times:
    # A record of an earlier process has lists where one of this process has tuples.
    return {name: (time_ms, nodes) for name, (time_ms, nodes) in record["times"].items()}


def _batch(record: Mapping[str, Any]) -> Batch:
    return Batch(record["networks"], record["predicted_ms"], record["verdict"])

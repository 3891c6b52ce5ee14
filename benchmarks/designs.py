"""Ways to the table of one space on one device, measured one after the other, and what they are worth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.grid import grid, measure_grid
from hwtickets.costs import LatencyCost
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.progress import Progress
from hwtickets.runtimes import Bench
from hwtickets.search.space_profile import all_costs
from hwtickets.space.operators import OperatorSpec
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_networks, price_space
from hwtickets.tables import LatencyTable
from hwtickets.tables.accuracy import table_accuracy
from hwtickets.tables.campaign import Campaign, measure_plan
from hwtickets.tables.fit import fit_operators
from hwtickets.tables.measure import Journal, measure_networks, profile_networks
from hwtickets.tables.observations import Measured
from hwtickets.tables.plan import Plan
from hwtickets.tables.sampling import sampled_networks
from hwtickets.tables.table import Row, calibrated

#: Networks that are priced at once.
PRICED = 100_000
#: As much of the adaptive design as is needed for the error of the full grid.
AS_GOOD = "adaptive, until as good as the grid"
#: Of the fixed design, away from the seeds of plans.
SEED_BASE = 5_000_003


@dataclass(frozen=True)
class Design:
    """A way to a table.

    Attributes:
        name: What it is called.
        measurements: Networks or operators that were timed or profiled.
        minutes: Wall time of that.
        latency_ms: What it found out about operators.
    """

    name: str
    measurements: int
    minutes: float
    latency_ms: Mapping[OperatorSpec, float]


class Clock:
    """Minutes of wall time by what they were spent on."""

    def __init__(self) -> None:
        self.minutes: dict[str, float] = {}

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Times the block under it."""
        begin_s = time.perf_counter()
        yield
        self.minutes[what] = (time.perf_counter() - begin_s) / 60


@dataclass(frozen=True)
class Comparison:
    """Designs for one space on one device.

    Attributes:
        space: The search space.
        device: The device.
        plan: Networks of the adaptive design, of the calibration and of the check.
        seed: Of the fixed design.
        progress: Where to report.
    """

    space: SearchSpace
    device: DeviceProfile
    plan: Plan
    seed: int
    progress: Progress

    def run(self) -> dict[str, Any]:
        """Measures all designs, one after the other."""
        clock = Clock()
        with TemporaryDirectory(prefix="hwtickets-") as folder, open_bench(self.device) as bench:
            campaign = self._campaign(bench, Path(folder), clock)
            fixed = self._fixed(bench, Path(folder), clock)
            specs = grid(self.space, self.device.alignment)
            with clock.of("grid"):
                alone_ms = measure_grid(specs, bench, self.progress)
        used, profiled, minutes = len(campaign.networks), len(self.plan.profiled), clock.minutes
        part = used / len(fixed)
        designs = [
            Design("full grid", len(specs), minutes["grid"], alone_ms),
            _networks("fixed", fixed, campaign, profiled, minutes["profiles"] + minutes["fixed"]),
            _networks(
                "random, as many",
                fixed[:used],
                campaign,
                profiled,
                minutes["profiles"] + part * minutes["fixed"],
            ),
            _networks(
                "adaptive", campaign.networks, campaign, profiled, minutes["profiles"] + minutes["adaptive"]
            ),
        ]
        found = {design.name: self._scored(design, campaign) for design in designs}
        enough = self._enough(found["full grid"], campaign, minutes)
        return {
            "units": len(self.space.units),
            "verdict": campaign.verdict,
            "calibration_and_check": {
                "measurements": len(self.plan.calibration) + len(self.plan.check),
                "minutes": minutes["ends"],
            },
            "designs": {**found, **({AS_GOOD: enough} if enough else {})},
            "pricing": self._pricing(self._table(designs[-1], campaign)),
        }

    def _scored(self, design: Design, campaign: Campaign) -> dict[str, Any]:
        table = self._table(design, campaign)
        return {
            "measurements": design.measurements,
            "minutes": design.minutes,
            **table_accuracy(table, self.plan.check, campaign.check_ms),
        }

    def _enough(
        self, grid: Mapping[str, Any], campaign: Campaign, minutes: Mapping[str, float]
    ) -> dict[str, Any] | None:
        """The shortest beginning of the adaptive design after which none is worse than the grid."""
        used, profiled, enough = len(campaign.networks), len(self.plan.profiled), None
        for count in range(used, 0, -1):
            spent = minutes["profiles"] + count / used * minutes["adaptive"]
            design = _networks(AS_GOOD, campaign.networks[:count], campaign, profiled, spent)
            scored = self._scored(design, campaign)
            if scored["median_error"] > grid["median_error"]:
                return enough
            enough = scored
        return enough

    def _campaign(self, bench: Bench, folder: Path, clock: Clock) -> Campaign:
        plan, journal = self.plan, Journal(folder / "adaptive.jsonl", self.plan.key)
        with self.progress.stage("adaptive", total=plan.total, unit="network") as stage:
            with clock.of("profiles"):
                profile_networks(plan.profiled, bench, journal, stage)
            with clock.of("ends"):
                ends = [*plan.calibration, *plan.check]
                measure_networks(ends, plan.references, bench, journal, stage, first=plan.most)
            with clock.of("adaptive"):
                return measure_plan(plan, bench, journal, stage)

    def _fixed(self, bench: Bench, folder: Path, clock: Clock) -> list[Measured]:
        random = sampled_networks(
            self.space, self.device.alignment, self.plan.most - self.plan.corners, SEED_BASE + self.seed
        )
        graphs = [*self.plan.pool[: self.plan.corners], *random]
        journal = Journal(folder / "fixed.jsonl", {})
        with (
            self.progress.stage("fixed", total=len(graphs), unit="network") as stage,
            clock.of("fixed"),
        ):
            found = measure_networks(graphs, self.plan.references, bench, journal, stage)
        return [Measured(graph, ms) for graph, ms in zip(graphs, found.median_ms.tolist(), strict=True)]

    def _table(self, design: Design, campaign: Campaign) -> LatencyTable:
        rows = {spec: Row(latency_ms) for spec, latency_ms in design.latency_ms.items()}
        device = self.device
        table = LatencyTable(device.name, device.runtime, "fp32", 1, device.alignment, {}, rows)
        return calibrated(table, self.plan.calibration, campaign.calibration_ms)

    def _pricing(self, table: LatencyTable) -> dict[str, float]:
        costs = all_costs(LatencyCost(table))
        random, alignment = np.random.default_rng(self.seed), self.device.alignment
        allowed = [self.space.widths_allowed(unit, alignment) for unit in self.space.units]
        widths = np.stack([random.choice(choices, PRICED) for choices in allowed], axis=1)
        seconds = {}
        for what in ("first_space_s", "space_s"):
            begin_s = time.thread_time()
            price_space(self.space, costs, alignment)
            seconds[what] = time.thread_time() - begin_s
        begin_s = time.thread_time()
        price_networks(self.space, widths, costs)
        return {**seconds, "networks": PRICED, "networks_s": time.thread_time() - begin_s}


def _networks(
    name: str, networks: list[Measured], campaign: Campaign, profiled: int, minutes: float
) -> Design:
    fit = fit_operators(networks, campaign.profiles)
    return Design(name, profiled + len(networks), minutes, fit.latency_ms)

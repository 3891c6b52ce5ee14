"""What a job's space costs before any training, in every precision where these are drawn."""

from __future__ import annotations

from dataclasses import replace

from hwtickets.costs import require_energy
from hwtickets.search.job import Job
from hwtickets.search.mixed_anchors import priced_mix
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.mixed_tables import other_tables, require_mixable
from hwtickets.search.space_profile import SpaceProfile, profile_space
from hwtickets.sparsity.choices import price_space
from hwtickets.tables import LatencyTable


def profiled(job: Job) -> tuple[LatencyTable, SpaceProfile, MixedPrices | None]:
    """The table of a job, the profile of its space, and prices in every precision where these are drawn.

    The dense network is one in fp32; the smallest costs of a mix are what no network is below.

    Raises:
        UsageError: Precisions cannot be drawn, or there is no table of a second one.
        DeviceError: Energy is limited, and one of the tables does not know it.
    """
    if not job.mixed:
        return _profiled_at_one(job)
    require_mixable(job)
    others = other_tables(job)
    if "energy" in job.budgets:
        for other in others.values():
            require_energy(other)
    table, profile, _ = _profiled_at_one(job)
    with job.progress.stage("precisions"):
        mixed = priced_mix(job, table, others, profile)
    lowest = mixed.lowest()
    priced = price_space(job.space, lowest, job.device.alignment, floor=job.config.floor)
    smallest = {metric: priced.smallest(metric) for metric in lowest}
    return table, replace(profile, smallest={**profile.smallest, **smallest}), mixed


def _profiled_at_one(job: Job) -> tuple[LatencyTable, SpaceProfile, None]:
    table = job.table()
    with job.progress.stage("profile"):
        profile = profile_space(job.space, job.device, table, job.config.floor, job.config.seed)
    return table, profile, None

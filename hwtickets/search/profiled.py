"""What a job's space costs before any training, in every precision where these are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hwtickets.budgets import Budget
from hwtickets.costs import AdditiveCost, LatencyCost, require_energy, why_no_energy
from hwtickets.search.job import Job
from hwtickets.search.mixed_anchors import priced_mix
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.mixed_tables import other_tables, require_mixable
from hwtickets.search.space_profile import SpaceProfile, all_costs, profile_space
from hwtickets.space.operators import Operator
from hwtickets.space.space import SearchSpace
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
    priced = price_space(job.space, lowest, job.alignment, floor=job.config.floor)
    smallest = {metric: priced.smallest(metric) for metric in lowest}
    return table, replace(profile, smallest={**profile.smallest, **smallest}), mixed


def describe_space(job: Job) -> dict[str, Any]:
    """The answer of `hwtickets profile`; see `api.profile`."""
    table, profile, _ = profiled(job)
    cost = LatencyCost(table, profile.correction)
    latency = cost.additive()
    blocks_ms = _blocks_ms(job.space, profile.forms, latency)
    dense_ms = profile.dense["latency"]
    limits = profile.limits(job.budgets)
    dense = job.space.graph(job.space.dense(), profile.forms)
    doubt = {} if job.device.measurable else {"dense_error_ms": cost.predict_ms(dense)[1]}
    return {
        "device": job.device.name,
        "precision": job.config.precision,
        "table": table.name,
        "measured": job.device.measurable,
        "dense_ms": dense_ms,
        **doubt,
        "min_ms": profile.smallest["latency"],
        "dense_macs": int(profile.dense["macs"]),
        "min_macs": int(profile.smallest["macs"]),
        "dense_size_bytes": int(profile.dense["size"]),
        "min_size_bytes": int(profile.smallest["size"]),
        **_energy(profile, table),
        "units": len(job.space.units),
        "unprunable": dict(job.space.unprunable),
        **({"estimated": table.estimated(dense)} if job.space.coupled else {}),
        "configurations": job.space.size(job.alignment),
        "budgets": [
            _answer(budget, limits[metric], profile.smallest[metric], job, table)
            for metric, budget in job.budgets.items()
        ],
        "table_error": dict(table.error),
        "costliest": [
            {"block": block, "ms": ms, "share": ms / dense_ms}
            for block, ms in sorted(blocks_ms.items(), key=lambda entry: -entry[1])
        ],
    }


def _profiled_at_one(job: Job) -> tuple[LatencyTable, SpaceProfile, None]:
    table = job.table()
    with job.progress.stage("profile"):
        profile = profile_space(
            job.space, job.device, table, job.alignment, job.config.floor, job.config.seed
        )
    return table, profile, None


def _blocks_ms(space: SearchSpace, forms: Mapping[str, str], latency: AdditiveCost) -> dict[str, float]:
    """Predicted latency of every part of the dense network."""
    operators: dict[str, list[Operator]] = {block: [] for block in ([] if space.coupled else space.blocks)}
    for operator in space.graph(space.dense(), forms):
        if space.coupled or operator.block in operators:
            operators.setdefault(operator.block, []).append(operator)
    return {block: latency.operators(own) for block, own in operators.items()}


def _energy(profile: SpaceProfile, table: LatencyTable) -> dict[str, float | str]:
    """Energies as the table predicts them, or why there are none."""
    reason = why_no_energy(table)
    if reason is not None:
        return {"energy": f"not available: {reason}"}
    return {"dense_energy_mj": profile.dense["energy"], "min_energy_mj": profile.smallest["energy"]}


def dearest_left(job: Job, table: LatencyTable, metric: str) -> str:
    """What of a module costs most in its smallest network, and why it stays, as a part of a sentence."""
    cost = all_costs(LatencyCost(table))[metric]
    narrowest = {
        name: 0 if unit.residual else job.space.widths_allowed(name, job.alignment)[0]
        for name, unit in job.space.units.items()
    }
    dearest = max(job.space.graph(narrowest), key=lambda operator: cost.operators([operator])).name
    reason = job.space.unprunable.get(dearest.partition("/")[0], "cut as far as it goes")
    return f"what costs most of it is {dearest} ({reason})"


def _answer(budget: Budget, limit: float, nearest: float, job: Job, table: LatencyTable) -> dict[str, Any]:
    named = limit < nearest and job.space.coupled
    return {
        "metric": budget.metric,
        "text": budget.text,
        "limit": limit,
        "feasible": limit >= nearest,
        "nearest": max(limit, nearest),
        **({"dearest": dearest_left(job, table, budget.metric)} if named else {}),
    }

"""What a search space costs on a device, before any training; whether a budget is feasible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hwtickets.budgets import Budget
from hwtickets.costs import AdditiveCost, LatencyCost, macs_cost, params_cost, size_cost
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.search.job import Job
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import PricedSpace, price_network, price_space
from hwtickets.tables.skeleton import random_inputs, skeleton_model
from hwtickets.tables.table import LatencyTable

#: Timed runs of each network that anchors the prediction to the device's present speed.
ANCHOR_RUNS = 400


@dataclass(frozen=True)
class SpaceProfile:
    """Costs of the ends of a search space; latencies are measured.

    Attributes:
        dense: Costs of the full supernet by metric, in ms, MACs, bytes and parameters.
        smallest: The lowest cost that a network of the space has, by metric.
        forms: Deployed forms of the dense network.
        correction: Measured over predicted latency of whole networks, median.
    """

    dense: dict[str, float]
    smallest: dict[str, float]
    forms: dict[str, str]
    correction: float

    def limits(self, budgets: Mapping[str, Budget]) -> dict[str, float]:
        """The budgets as numbers by metric, shares taken of the dense network's costs."""
        return {metric: budget.limit(self.dense[metric]) for metric, budget in budgets.items()}

    def as_dict(self) -> dict[str, Any]:
        """The fields, JSON-able."""
        return asdict(self)


def all_costs(latency: LatencyCost) -> dict[str, AdditiveCost]:
    """Every cost by metric; latency first, so that it chooses the deployed forms."""
    return {"latency": latency.additive(), "macs": macs_cost(), "size": size_cost(), "params": params_cost()}


def profile_space(
    space: SearchSpace, device: DeviceProfile, table: LatencyTable, floor: int, seed: int
) -> SpaceProfile:
    """Measures the dense and the smallest network of a space, and some between.

    Networks with random weights stand in for trained ones: latency does not depend on the values of the
    weights.

    Args:
        space: The search space.
        device: Where to measure.
        table: Prices.
        floor: Channels that every block keeps at least.
        seed: Chooses the networks between.
    """
    latency = LatencyCost(table)
    priced = price_space(space, all_costs(latency), device.alignment, floor=floor)
    ends = {"dense": space.dense(), "smallest": _smallest(priced)}
    networks = {**ends, **{f"middle {n}": widths for n, widths in enumerate(_middles(priced, seed))}}
    costs = all_costs(latency)
    network_prices = {name: price_network(space, widths, costs) for name, widths in networks.items()}
    forms = {name: chosen for name, (chosen, _) in network_prices.items()}
    graphs = {name: space.graph(widths, forms[name]) for name, widths in networks.items()}
    models = {name: skeleton_model(graph, seed) for name, graph in graphs.items()}
    with open_bench(device, table.precision) as bench:
        timings = bench.time(models, random_inputs(graphs["dense"], seed), ANCHOR_RUNS)
    ratios = [timings[name].p50_ms / latency.predict_ms(graph)[0] for name, graph in graphs.items()]
    dense = {**network_prices["dense"][1], "latency": timings["dense"].p50_ms}
    smallest = {metric: priced.smallest(metric) for metric in costs}
    smallest["latency"] = timings["smallest"].p50_ms
    return SpaceProfile(dense, smallest, forms["dense"], float(np.median(ratios)))


def repriced(priced: PricedSpace, correction: float) -> PricedSpace:
    """The same prices with the predicted latencies multiplied by a correction."""
    fixed = {**priced.fixed, "latency": priced.fixed["latency"] * correction}
    blocks = [
        replace(block, costs={**block.costs, "latency": block.costs["latency"] * correction})
        for block in priced.blocks
    ]
    return PricedSpace(blocks, fixed)


def _smallest(priced: PricedSpace) -> dict[str, int]:
    widths: dict[str, int] = {}
    for block in priced.blocks:
        index = int(block.costs["latency"].argmin())
        widths.update(zip(block.units, block.widths[index].tolist(), strict=True))
    return widths


def _middles(priced: PricedSpace, seed: int, count: int = 6) -> list[dict[str, int]]:
    random = np.random.default_rng(seed)
    networks = []
    for _ in range(count):
        widths: dict[str, int] = {}
        for block in priced.blocks:
            row = block.widths[random.integers(len(block.widths))]
            widths.update(zip(block.units, row.tolist(), strict=True))
        networks.append(widths)
    return networks


def describe_space(job: Job) -> dict[str, Any]:
    """The answer of `hwtickets profile`; see `api.profile`."""
    table = job.table()
    with job.progress.stage("profile"):
        profile = profile_space(job.space, job.device, table, job.config.floor, job.config.seed)
    latency = LatencyCost(table, profile.correction).additive()
    blocks_ms = {
        block: latency.operators(job.space.block_operators(block, job.space.dense(), form))
        for block, form in profile.forms.items()
    }
    dense_ms = profile.dense["latency"]
    limits = profile.limits(job.budgets)
    return {
        "dense_ms": dense_ms,
        "min_ms": profile.smallest["latency"],
        "dense_macs": int(profile.dense["macs"]),
        "min_macs": int(profile.smallest["macs"]),
        "dense_size_bytes": int(profile.dense["size"]),
        "min_size_bytes": int(profile.smallest["size"]),
        "units": len(job.space.units),
        "configurations": job.space.size(job.device.alignment),
        "budgets": [
            _answer(budget, limits[metric], profile.smallest[metric])
            for metric, budget in job.budgets.items()
        ],
        "table_error": dict(table.error),
        "costliest": [
            {"block": block, "ms": ms, "share": ms / dense_ms}
            for block, ms in sorted(blocks_ms.items(), key=lambda entry: -entry[1])
        ],
    }


def _answer(budget: Budget, limit: float, nearest: float) -> dict[str, Any]:
    return {
        "metric": budget.metric,
        "text": budget.text,
        "limit": limit,
        "feasible": limit >= nearest,
        "nearest": max(limit, nearest),
    }

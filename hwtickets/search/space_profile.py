"""What a search space costs on a device, before any training; whether a budget is feasible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwtickets.budgets import Budget
from hwtickets.costs import (
    AdditiveCost,
    LatencyCost,
    energy_cost,
    macs_cost,
    params_cost,
    size_cost,
    why_no_energy,
)
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.space.operators import OperatorGraph
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import Priced, price_network, price_space
from hwtickets.tables.skeleton import random_inputs
from hwtickets.tables.skeleton_precision import timed_model
from hwtickets.tables.table import LatencyTable

#: Timed runs of each network that anchors the prediction to the device's present speed.
ANCHOR_RUNS = 400
#: Networks between the smallest and the dense one that are timed besides.
MIDDLES = 6


@dataclass(frozen=True)
class SpaceProfile:
    """Costs of the ends of a search space; latencies are measured where there is a device.

    Attributes:
        dense: Costs of the full supernet by metric, in ms, MACs, bytes, parameters and, where the table knows
            them, mJ.
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
    """Every cost by metric, energy if the table has it; latency first, so that it chooses deployed forms."""
    costs = {"latency": latency.additive(), "macs": macs_cost(), "size": size_cost(), "params": params_cost()}
    return costs if why_no_energy(latency.table) else {**costs, "energy": energy_cost(latency.table)}


def profile_space(
    space: SearchSpace, device: DeviceProfile, table: LatencyTable, alignment: int, floor: int, seed: int
) -> SpaceProfile:
    """Measures the dense and the smallest network of a space, and some between.

    Networks with random weights stand in for trained ones: latency does not depend on the values of the
    weights. Where only a table describes the device, latencies are what the table predicts.

    Args:
        space: The search space.
        device: Where to measure.
        table: Prices.
        alignment: Widths are multiples of this.
        floor: Channels that every block keeps at least.
        seed: Chooses the networks between.
    """
    latency = LatencyCost(table)
    priced = price_space(space, all_costs(latency), alignment, floor=floor)
    networks = {"dense": space.dense(), "smallest": priced.smallest_widths("latency")}
    if device.measurable:
        random = np.random.default_rng(seed)
        networks |= {f"middle {number}": priced.sample(random) for number in range(MIDDLES)}
    costs = all_costs(latency)
    network_prices = {name: price_network(space, widths, costs) for name, widths in networks.items()}
    forms = {name: chosen for name, (chosen, _) in network_prices.items()}
    graphs = {name: space.graph(widths, forms[name]) for name, widths in networks.items()}
    predicted_ms = {name: latency.predict_ms(graph)[0] for name, graph in graphs.items()}
    latency_ms = _measured(graphs, device, table.precision, seed) if device.measurable else predicted_ms
    correction = float(np.median([latency_ms[name] / predicted_ms[name] for name in networks]))
    dense = {**network_prices["dense"][1], "latency": latency_ms["dense"]}
    smallest = {metric: priced.smallest(metric) for metric in costs}
    smallest["latency"] = latency_ms["smallest"]
    return SpaceProfile(dense, smallest, forms["dense"], correction)


def _measured(
    graphs: Mapping[str, OperatorGraph], device: DeviceProfile, precision: str, seed: int
) -> dict[str, float]:
    """Median latency in ms by name."""
    with open_bench(device, precision) as bench:
        models = {name: timed_model(graph, bench.fingerprint, seed) for name, graph in graphs.items()}
        timings = bench.time(models, random_inputs(graphs["dense"], seed), ANCHOR_RUNS)
    return {name: timing.p50_ms for name, timing in timings.items()}


def repriced(priced: Priced, correction: float) -> Priced:
    """The same prices with the predicted latencies multiplied by a correction."""
    return priced.repriced("latency", correction)

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.search.shrinking import Pricing
from hwtickets.space.space import SearchSpace

#: A device on which every operator costs as much as 5,000 MACs to start with.
LATENCY = AdditiveCost("latency", "ms", 0.002, lambda spec: 0.001 + spec.macs / 5e6)


@pytest.fixture(scope="session")
def pricing(tiny_space: SearchSpace) -> Callable[..., Pricing]:
    """Prices of the tiny space on a synthetic device; budgets are shares of the dense network."""

    def build(shares: Mapping[str, float], price: str = "latency", floor: int = 0) -> Pricing:
        costs = {"latency": LATENCY, "macs": macs_cost()}
        without_limits = Pricing(tiny_space, costs, {}, price, 8, floor)
        dense = without_limits.costs_of(tiny_space.dense())
        limits = {metric: share * dense[metric] for metric, share in shares.items()}
        return Pricing(tiny_space, costs, limits, price, 8, floor)

    return build

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.search.mixed_prices import Conversions, MixedPrices
from hwtickets.search.shrinking import Pricing
from hwtickets.space.operators import OperatorSpec
from hwtickets.space.space import SearchSpace
from hwtickets.tables import Calibration, LatencyTable, Row

#: A device on which every operator costs as much as 5,000 MACs to start with.
LATENCY = AdditiveCost("latency", "ms", 0.002, lambda spec: 0.001 + spec.macs / 5e6)

#: ms a million MACs; int8 is twice as fast but for narrow operators, which pay more for being there.
SPEED = {"fp32": (1.0, 0.001), "int8": (0.5, 0.002)}


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


def _table(space: SearchSpace, precision: str) -> LatencyTable:
    a_million_ms, each_ms = SPEED[precision]
    rows: dict[OperatorSpec, Row] = {}
    for width in (0, 8, 16, 24, 32):
        for form in ("split", "merged"):
            forms = {block: form for block, known in space.forms().items() if form in known}
            dense = space.dense()
            graph = space.graph({unit: min(width, dense[unit]) for unit in dense}, forms)
            rows |= {op.spec: Row(each_ms + op.spec.macs * a_million_ms / 1e6) for op in graph}
    offset_ms = {"fp32": 0.01, "int8": 0.015}[precision]
    return LatencyTable("toy", "onnxruntime", precision, 1, 8, {}, rows, Calibration(offset_ms, 1.1))


@pytest.fixture(scope="session")
def prices(tiny_space: SearchSpace) -> MixedPrices:
    """Prices of the tiny space in two precisions."""
    tables = {precision: _table(tiny_space, precision) for precision in SPEED}
    return MixedPrices(tiny_space, tables, {"fp32": 1.2, "int8": 0.9}, Conversions(0.002, 1e-6, True))

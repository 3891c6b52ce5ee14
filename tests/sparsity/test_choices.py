from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.costs import AdditiveCost, LatencyCost, macs_cost, params_cost, size_cost
from hwtickets.space.operators import OperatorSpec
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_network, price_networks, price_space
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.supernets.base import PLAIN
from hwtickets.tables.sampling import sampled_networks
from hwtickets.tables.table import Calibration, LatencyTable, Row

#: No smooth function of the channels, and sums that depend on the order of the terms.
LATENCY = AdditiveCost(
    "latency", "ms", 0.02, lambda spec: 0.01 + spec.macs / 3e6 + 0.07 * (spec.c_out % 3) / spec.kernel
)
COSTS = {"latency": LATENCY, "macs": macs_cost(), "size": size_cost(), "params": params_cost()}


@cache
def _space(shape: tuple[int, int, int]) -> SearchSpace:
    return SearchSpace(build_supernet("mobile", shape, 10, {}), "mobile")


@st.composite
def _networks(draw: st.DrawFn, space: SearchSpace) -> list[dict[str, int]]:
    """Up to six networks of any widths, aligned or not; many branches gone."""
    widths = {
        name: st.one_of(st.just(0), st.integers(0, unit.width), st.just(unit.width))
        for name, unit in space.units.items()
    }
    return draw(st.lists(st.fixed_dictionaries(widths), min_size=1, max_size=6))


@pytest.mark.parametrize("first", ["latency", "macs"])
@given(data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_many_networks_at_once_cost_what_each_of_them_costs(first: str, data: st.DataObject) -> None:
    space = _space((1, 28, 28))
    costs = {first: COSTS[first], **COSTS}
    networks = data.draw(_networks(space))
    widths = np.array([[network[unit] for unit in space.units] for network in networks])
    found = price_networks(space, widths, costs)
    assert list(found) == list(costs)
    for place, network in enumerate(networks):
        for metric, cost in price_network(space, network, costs)[1].items():
            assert found[metric][place] == cost, "to the last bit"


@given(data=st.data())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_network_costs_the_sum_of_its_operators(data: st.DataObject) -> None:
    space = _space((1, 28, 28))
    (network, *_) = data.draw(_networks(space))
    forms, totals = price_network(space, network, COSTS)
    deployed, plain = space.graph(network, forms), space.plain_graph(network)
    for metric, cost in COSTS.items():
        assert totals[metric] == pytest.approx(cost.graph(deployed if cost.deployed else plain))
    for block in space.blocks:
        dearest = space.graph(network, {**forms, block: "merged" if forms[block] == "split" else "split"})
        assert LATENCY.graph(dearest) >= totals["latency"] - 1e-9, "the cheapest form was taken"


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 224, 224)])
def test_all_choices_of_a_block_have_their_own_prices(shape: tuple[int, int, int]) -> None:
    space = _space(shape)
    priced = price_space(space, COSTS, 16)
    random = np.random.default_rng(0)
    for block in priced.blocks:
        assert len(block.widths) == len(space.block_widths(block.block, 16)) == len(block.forms)
        for place in random.integers(len(block.widths), size=8):
            widths = {**space.dense(), **dict(zip(block.units, block.widths[place].tolist(), strict=True))}
            operators = {
                form: space.block_operators(block.block, widths, form) for form in ("split", "merged", PLAIN)
            }
            form = min(("split", "merged"), key=lambda form: LATENCY.operators(operators[form]))
            assert block.forms[place] == form
            for metric, cost in COSTS.items():
                expected = cost.operators(operators[form if cost.deployed else PLAIN])
                assert block.costs[metric][place] == pytest.approx(expected, rel=1e-12)


def test_a_table_that_knows_few_operators_prices_many_networks_as_it_does_one(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace
) -> None:
    """Measured, interpolated and estimated answers in one sum."""
    specs = {op.spec for graph in sampled_networks(tiny_space, 8, 3, 0) for op in graph}
    table = _table({spec: Row(1e-3 + spec.macs / 3e7, 1e-4, 100, 2) for spec in specs})
    costs = {"latency": LatencyCost(table, 1.3).additive()}
    every = np.array([[8, 0, 16, 32], [16, 16, 32, 32], [0, 0, 0, 0], [0, 8, 0, 24], [13, 5, 32, 1]])
    found = price_networks(tiny_space, every, costs)["latency"]
    for place, row in enumerate(every.tolist()):
        widths = dict(zip(tiny_space.units, row, strict=True))
        forms, totals = price_network(tiny_space, widths, costs)
        assert found[place] == totals["latency"]
        predicted_ms = LatencyCost(table, 1.3).predict_ms(tiny_space.graph(widths, forms))[0]
        assert found[place] == pytest.approx(predicted_ms)


def test_each_operator_is_priced_once(tiny_space: SearchSpace) -> None:
    asked: list[OperatorSpec] = []
    counting = AdditiveCost("latency", "ms", 0.0, lambda spec: float(asked.append(spec) or spec.macs))
    widths = np.array([[a, b, 32, 32] for a in (0, 8, 16) for b in (0, 8, 16)] * 50)
    price_networks(tiny_space, widths, {"latency": counting})
    fixed = tiny_space.fixed_operators()
    by_form = len(asked) - len(fixed)
    assert by_form < 2 * 40, "450 networks, two forms, a few dozen different operators"


def _table(rows: dict[OperatorSpec, Row]) -> Any:
    return LatencyTable("cpu", "onnxruntime", "fp32", 1, 8, {}, rows, Calibration(0.002, 1.1, 0.0005))

"""The search space of a module: aligned widths, prices, the doors that a search uses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwtickets.costs import AdditiveCost, macs_cost, params_cost
from hwtickets.search.prices import unit_prices
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.sparsity.choices import price_network, price_networks, price_space
from hwtickets.sparsity.coupled import CoupledSpace
from hwtickets.supernets import Mobile
from tests.modules.small_networks import IMAGE, Grouped, GroupedSum, Residual, Tokens, hosted

COSTS = {"macs": macs_cost(), "params": params_cost()}


def test_supernets_keep_their_own_space() -> None:
    space = space_of(Mobile((1, 16, 16), 4, stem_channels=8, stages=[[8, 1, 2]]), "mobile")
    assert type(space) is SearchSpace and not space.coupled and not space.unprunable


def test_widths_keep_tensors_aligned_and_heads_whole() -> None:
    _, tokens = hosted(Tokens)
    assert tokens.widths_allowed("wide", 8) == [8, 16, 24]
    assert tokens.widths_allowed("wide", 8, 20) == [8, 16, 20]
    assert tokens.widths_allowed("attention.qkv", 8) == [2, 4], "a head has four channels"
    _, grouped = hosted(Grouped)
    assert grouped.widths_allowed("widen.0", 8) == [4, 8], "a group has two channels"
    assert grouped.widths_allowed("last", 1) == [1, 2, 3, 4]


def test_inputs_of_one_group_are_not_the_channels_of_a_tensor() -> None:
    _, space = hosted(GroupedSum)
    assert space.channels_of("a") == 2 and space.widths_allowed("a", 16) == [8, 12]
    body = space.module({"a": 8})
    assert body(torch.randn(2, *IMAGE)).shape == (2, 5) and body.mix.in_channels == 32


def test_blocks_and_fixed_operators() -> None:
    _, space = hosted(Residual)
    assert space.blocks == {
        "stem": ["stem.0"],
        "first": ["first.0"],
        "third": ["third.0"],
        "fourth": ["fourth.0"],
    }
    assert space.forms() == {} and space.fixed_operators() == []
    assert sum(len(space.block_operators(block, space.dense(), "")) for block in ("first", "second")) == 2


def test_a_module_at_any_width_runs() -> None:
    model, space = hosted(Tokens)
    body = space.module({"attention.qkv": 1, "wide": 5})
    assert torch.isfinite(body(torch.randn(2, *IMAGE))).all()
    assert sum(p.numel() for p in body.parameters()) < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("network", [Residual, Tokens])
def test_prices_are_those_of_the_graph(network: type) -> None:
    _, space = hosted(network)
    priced = price_space(space, COSTS, 4)
    assert isinstance(priced, CoupledSpace)
    random = np.random.default_rng(0)
    networks = [priced.sample(random) for _ in range(5)]
    rows = np.array([[widths[name] for name in space.units] for widths in networks])
    many = price_networks(space, rows, COSTS)
    for place, widths in enumerate(networks):
        forms, costs = price_network(space, widths, COSTS)
        graph = space.graph(widths)
        assert forms == {} and costs == {"macs": graph.macs, "params": sum(op.spec.params for op in graph)}
        choice = np.array(
            [list(o).index(widths[n]) for n, o in zip(priced.names, priced.options, strict=True)]
        )
        assert priced.total(choice).tolist() == [costs["macs"], costs["params"]]
        assert [many[metric][place] for metric in COSTS] == [costs["macs"], costs["params"]]
    assert priced.largest("macs") == space.graph(space.dense()).macs
    assert priced.smallest("macs") == space.graph(priced.smallest_widths("macs")).macs
    twice = priced.repriced("macs", 2.0)
    assert twice.smallest("macs") == 2 * priced.smallest("macs")
    assert twice.smallest("params") == priced.smallest("params")


def test_a_floor_counts_channels_of_tensors() -> None:
    _, space = hosted(Tokens)
    priced = price_space(space, COSTS, 4, floor=12)
    assert isinstance(priced, CoupledSpace)
    options = dict(zip(priced.names, [o.tolist() for o in priced.options], strict=True))
    assert options == {"attention.qkv": [3, 4], "wide": [12, 16, 20, 24]}


def test_the_price_of_a_channel_is_that_of_the_operators_beside_it() -> None:
    _, space = hosted(Residual)
    cost = AdditiveCost("macs", "MACs", 0.0, lambda spec: float(spec.macs))
    prices = unit_prices(space, cost, 1, space.dense())
    # "first" is made from 8 channels and read by a layer of 8 outputs, 3x3 kernels on an 8x8 map.
    assert prices["first.0"].slope == pytest.approx(2 * 8 * 9 * 64) and prices["first.0"].existence == 0

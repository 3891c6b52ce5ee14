"""Prices in several precisions, and draws by them, on devices that are made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.costs import LatencyCost
from hwtickets.search.mixed_prices import Conversions, MixedPrices
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import Allocation, allocate
from hwtickets.sparsity.choices import PricedSpace, price_space
from hwtickets.sparsity.mixed_space import DROP, allocate_mixed
from tests.search.conftest import SPEED

LOSSES = {
    part: {"int8": loss}
    for part, loss in {"stem": 3.0, "blocks.0": 0.2, "blocks.1": 0.1, "head": 0.3}.items()
}


@pytest.fixture(scope="module")
def scores(tiny_space: SearchSpace) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(width, generator=generator) for name, width in tiny_space.dense().items()}


def _of(space: SearchSpace, widths: Mapping[str, int], precisions: Mapping[str, str]) -> Allocation:
    forms = {block: "split" for block in space.blocks}
    return Allocation(dict(widths), forms, {}, 1.0, dict(precisions))


@pytest.mark.parametrize("precision", list(SPEED))
def test_all_in_one_precision_costs_what_its_table_says(prices: MixedPrices, precision: str) -> None:
    space = prices.space
    drawn = _of(space, space.dense(), dict.fromkeys(prices.parts, precision))
    cost = LatencyCost(prices.tables[precision], prices.corrections[precision])
    assert prices.latency_ms(drawn) == pytest.approx(
        cost.predict_ms(space.graph(drawn.widths, drawn.forms))[0]
    )
    assert prices.parts == ["blocks.0", "blocks.1", "stem", "head"]


def test_a_mix_pays_its_parts_and_its_conversions(prices: MixedPrices) -> None:
    space = prices.space
    mix = {"stem": "fp32", "blocks.0": "int8", "blocks.1": "int8", "head": "fp32"}
    free = MixedPrices(space, prices.tables, prices.corrections, Conversions())
    drawn = _of(space, space.dense(), mix)
    # From the stem 8 channels of 6x6, from the second block 16 of 3x3.
    assert prices.latency_ms(drawn) - free.latency_ms(drawn) == pytest.approx(2 * 0.002 + 1e-6 * (288 + 144))
    times = {name: free.part_times(_of(space, space.dense(), dict.fromkeys(mix, name))) for name in SPEED}
    assert free.part_times(drawn) == pytest.approx({part: times[own][part] for part, own in mix.items()})


def test_no_mix_is_below_the_lowest_costs(prices: MixedPrices) -> None:
    space, random = prices.space, np.random.default_rng(0)
    graph = space.graph(space.dense())
    lowest_ms = prices.lowest()["latency"].graph(graph)
    for _ in range(20):
        mix = {part: str(random.choice(list(SPEED))) for part in prices.parts}
        assert prices.latency_ms(_of(space, space.dense(), mix)) >= lowest_ms
    assert prices.lowest()["size"].graph(graph) == sum(operator.spec.params for operator in graph), (
        "a byte each"
    )


def test_where_no_score_may_be_lost_it_is_the_draw_in_fp32(
    prices: MixedPrices, scores: dict[str, torch.Tensor]
) -> None:
    space = prices.space
    plain = price_space(space, prices.costs("fp32"), 8)
    assert isinstance(plain, PricedSpace)
    limits = {"latency": 0.6 * plain.largest("latency")}
    exact = allocate(plain, scores, limits)
    mixed = allocate_mixed(prices.mixed_space(8, space.dense(), 0, LOSSES, 0.0), scores, limits)
    assert set(mixed.precisions.values()) == {"fp32"}
    assert (mixed.widths, mixed.forms) == (exact.widths, exact.forms)
    assert {metric: mixed.costs[metric] for metric in exact.costs} == pytest.approx(exact.costs)


def test_a_budget_buys_more_importance_where_precisions_can_be_drawn(
    prices: MixedPrices, scores: dict[str, torch.Tensor]
) -> None:
    space = prices.space
    limits = {"latency": 0.5 * prices.costs("fp32")["latency"].graph(space.graph(space.dense()))}
    by_drop = [
        allocate_mixed(prices.mixed_space(8, space.dense(), 0, LOSSES, drop), scores, limits).value
        for drop in (0.0, 0.35, 5.0)
    ]
    assert by_drop == sorted(by_drop) and by_drop[0] < by_drop[-1]


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.3, 1.0), drop=st.floats(0, 4), size=st.sampled_from([None, 0.3, 0.6]))
def test_what_is_promised_is_what_is_predicted_and_within_every_budget(
    prices: MixedPrices, scores: dict[str, torch.Tensor], share: float, drop: float, size: float | None
) -> None:
    space: Any = prices.space
    mixed = prices.mixed_space(8, space.dense(), 0, LOSSES, drop)
    graph = space.graph(space.dense())
    limits = {"latency": max(share * prices.costs("fp32")["latency"].graph(graph), mixed.smallest("latency"))}
    limits |= {"size": size * prices.costs("fp32")["size"].graph(graph)} if size and drop > 3.9 else {}
    drawn = allocate_mixed(mixed, scores, limits)
    assert drawn.costs["latency"] == pytest.approx(prices.latency_ms(drawn))
    assert all(drawn.costs[metric] <= limit * (1 + 1e-5) for metric, limit in limits.items())
    assert drawn.costs[DROP] <= drop + 1e-5
    assert set(drawn.precisions) == set(prices.parts) and set(drawn.forms) == set(space.blocks)


def test_conversions_that_nobody_measured_are_free(prices: MixedPrices) -> None:
    free = MixedPrices(prices.space, prices.tables, prices.corrections, Conversions())
    assert [border.change_ms for border in free.borders] == [0.0] * 3
    saved = prices.as_dict()
    assert Conversions(**saved["conversions"]) == prices.conversions
    assert saved["corrections"] == {"fp32": 1.2, "int8": 0.9}

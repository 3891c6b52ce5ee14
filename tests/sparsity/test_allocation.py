from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.costs import AdditiveCost, macs_cost, size_cost
from hwtickets.errors import BudgetError
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import allocate, best_channels
from hwtickets.sparsity.choices import BlockChoices, PricedSpace, price_network, price_space
from hwtickets.sparsity.importance import Scores
from hwtickets.supernets import Mobile

LATENCY = AdditiveCost("latency", "ms", 0.02, lambda spec: 0.01 + spec.macs / 1e6)


@st.composite
def _instances(draw: st.DrawFn) -> tuple[PricedSpace, Scores, dict[str, float]]:
    """Up to three blocks of two units of up to four channels, priced arbitrarily in one or two metrics."""
    metrics = draw(st.sampled_from([("latency",), ("macs",), ("latency", "size")]))
    blocks, scores = [], {}
    for number in range(draw(st.integers(1, 3))):
        units = [f"b{number}.k3", f"b{number}.k5"]
        widths = np.array(list(itertools.product((0, 2, 4), repeat=2)))
        costs = {
            metric: np.array(draw(st.lists(st.integers(0, 50), min_size=9, max_size=9)), dtype=float)
            for metric in metrics
        }
        blocks.append(BlockChoices(f"b{number}", units, widths, ["split"] * 9, costs))
        for unit in units:
            values = draw(st.lists(st.integers(0, 20), min_size=4, max_size=4))
            scores[unit] = torch.tensor(values, dtype=torch.float32)
    fixed = {metric: float(draw(st.integers(0, 10))) for metric in metrics}
    return (
        PricedSpace(blocks, fixed),
        scores,
        {metric: float(draw(st.integers(0, 150))) for metric in metrics},
    )


def _brute_force(priced: PricedSpace, scores: Scores, limits: dict[str, float]) -> float | None:
    """The largest importance within the limits, over all combinations; None where there is none."""
    best = None
    for rows in itertools.product(*(range(len(block.widths)) for block in priced.blocks)):
        costs = dict(priced.fixed)
        value = 0.0
        for block, row in zip(priced.blocks, rows, strict=True):
            for metric in costs:
                costs[metric] += block.costs[metric][row]
            for unit, width in zip(block.units, block.widths[row], strict=True):
                value += float(scores[unit].sort(descending=True).values[:width].sum())
        if all(costs[metric] <= limit for metric, limit in limits.items()):
            best = value if best is None else max(best, value)
    return best


@given(instance=_instances())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_draw_is_the_best_of_all(instance: tuple[PricedSpace, Scores, dict[str, float]]) -> None:
    priced, scores, limits = instance
    best = _brute_force(priced, scores, limits)
    if best is None:
        with pytest.raises(BudgetError):
            allocate(priced, scores, limits)
        return
    drawn = allocate(priced, scores, limits)
    total = sum(float(score.sum()) for score in scores.values()) or 1.0
    assert drawn.value * total == pytest.approx(best, abs=1e-6)
    assert all(drawn.costs[metric] <= limit for metric, limit in limits.items())
    recount = sum(float(scores[u].sort(descending=True).values[:w].sum()) for u, w in drawn.widths.items())
    assert recount == pytest.approx(best, abs=1e-6)


def _scores(space: SearchSpace, seed: int = 0) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(unit.width, generator=generator) for name, unit in space.units.items()}


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9, 1.0])
def test_what_is_promised_is_what_the_network_costs(tiny_space: SearchSpace, share: float) -> None:
    costs = {"latency": LATENCY, "macs": macs_cost(), "size": size_cost()}
    dense = price_network(tiny_space, tiny_space.dense(), costs)[1]
    priced = price_space(tiny_space, costs, 8)
    limits = {"latency": share * dense["latency"], "macs": 0.9 * dense["macs"]}
    drawn = allocate(priced, _scores(tiny_space), limits)
    forms, totals = price_network(tiny_space, drawn.widths, costs)
    assert drawn.costs == pytest.approx(totals)
    assert drawn.forms == forms
    assert all(drawn.costs[metric] <= limit for metric, limit in limits.items())
    assert all(width % 8 == 0 for width in drawn.widths.values())


def test_without_pressure_everything_is_kept(tiny_space: SearchSpace) -> None:
    costs = {"latency": LATENCY}
    priced = price_space(tiny_space, costs, 8)
    dense = price_network(tiny_space, tiny_space.dense(), costs)[1]["latency"]
    drawn = allocate(priced, _scores(tiny_space), {"latency": dense})
    assert drawn.widths == tiny_space.dense()
    assert drawn.value == pytest.approx(1.0)


def test_a_floor_keeps_channels_in_every_block(tiny_space: SearchSpace) -> None:
    costs = {"latency": LATENCY}
    scores = {**_scores(tiny_space), "blocks.0.k3": torch.zeros(16), "blocks.0.k5": torch.zeros(16)}
    kept = {}
    for floor in (0, 16):
        priced = price_space(tiny_space, costs, 8, floor=floor)
        drawn = allocate(priced, scores, {"latency": 1.2 * priced.smallest("latency")})
        kept[floor] = sum(drawn.widths[unit] for unit in tiny_space.blocks["blocks.0"])
    assert kept == {0: 0, 16: 16}, "without a floor the worthless block vanishes"
    shrunk = price_space(tiny_space, costs, 8, {**tiny_space.dense(), "blocks.0.k3": 0, "blocks.0.k5": 8}, 16)
    assert shrunk.blocks[0].widths.tolist() == [[0, 8]], "a floor beyond what is left keeps all that is left"


@pytest.mark.parametrize("metric", ["latency", "macs"])
def test_an_infeasible_budget_names_the_nearest(tiny_space: SearchSpace, metric: str) -> None:
    priced = price_space(tiny_space, {"latency": LATENCY, "macs": macs_cost()}, 8)
    smallest = priced.smallest(metric)
    with pytest.raises(BudgetError, match="the nearest feasible one is") as caught:
        allocate(priced, _scores(tiny_space), {metric: 0.99 * smallest})
    assert "\n" not in str(caught.value)
    number = float(str(caught.value).rpartition(" is ")[2].split()[0])
    scale = {"latency": 1.0, "macs": 1e3}[metric]
    assert number * scale == pytest.approx(smallest, rel=0.01)
    assert (
        allocate(priced, _scores(tiny_space), {metric: 1.0001 * smallest}).costs[metric] <= 1.0001 * smallest
    )


def test_budgets_that_exclude_one_another_are_one_line() -> None:
    costs = {"latency": np.array([1.0, 5.0]), "size": np.array([5.0, 1.0])}
    block = BlockChoices("b", ["b.k3"], np.array([[1], [2]]), ["split", "merged"], costs)
    priced = PricedSpace([block], {"latency": 0.0, "size": 0.0})
    with pytest.raises(BudgetError, match="no network of this space meets latency 2 ms, size 2 B at once"):
        allocate(priced, {"b.k3": torch.ones(2)}, {"latency": 2.0, "size": 2.0})


def test_the_best_channels_are_kept_in_order() -> None:
    scores = {"a": torch.tensor([0.1, 0.9, 0.5, 0.7]), "b": torch.tensor([1.0, 2.0])}
    kept = best_channels(scores, {"a": 2, "b": 0})
    assert {name: index.tolist() for name, index in kept.items()} == {"a": [1, 3], "b": []}


def test_the_draw_of_the_default_space_needs_no_gap() -> None:
    """Over 15 units of the real size, doubling the scores of everything changes nothing."""
    space = SearchSpace(Mobile((1, 28, 28), 10), "mobile")
    priced = price_space(space, {"latency": LATENCY}, 16)
    scores = _scores(space)
    limit = {"latency": 0.4 * price_network(space, space.dense(), {"latency": LATENCY})[1]["latency"]}
    once = allocate(priced, scores, limit)
    twice = allocate(priced, {name: 2 * score for name, score in scores.items()}, limit)
    assert once.widths == twice.widths
    assert once.value == pytest.approx(twice.value)
    assert 0.95 * limit["latency"] < once.costs["latency"] <= limit["latency"]


def test_a_unit_without_scores_is_worth_nothing(tiny_space: SearchSpace) -> None:
    priced = price_space(tiny_space, {"latency": LATENCY}, 8, {**tiny_space.dense(), "blocks.1.k5": 0})
    scores = _scores(tiny_space)
    del scores["blocks.1.k5"]
    drawn = allocate(priced, scores, {"latency": 100.0})
    assert drawn.widths == {**tiny_space.dense(), "blocks.1.k5": 0}

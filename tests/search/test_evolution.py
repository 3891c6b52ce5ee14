from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.search.evolution import evolve

GOAL = {"a": 2.0, "b": 0.25, "c": 1.0}


def distance(factors: dict[str, float]) -> float:
    return sum(math.log(factors[name] / goal) ** 2 for name, goal in GOAL.items())


@given(st.integers(0, 2**32 - 1))
def test_the_goal_comes_nearer(seed: int) -> None:
    tried: list[dict[str, float]] = []

    def loss_of(factors: dict[str, float]) -> float:
        tried.append(factors)
        return distance(factors)

    found = evolve(loss_of, list(GOAL), 60, seed)
    assert tried[0] == dict.fromkeys(GOAL, 1.0) and len(tried) == 61
    assert distance(found) == min(map(distance, tried)) < 0.5 * distance(tried[0])
    assert all(factor > 0 for factor in found.values())


def test_the_same_seed_goes_the_same_way() -> None:
    assert evolve(distance, list(GOAL), 20, 3) == evolve(distance, list(GOAL), 20, 3)
    assert evolve(distance, list(GOAL), 20, 3) != evolve(distance, list(GOAL), 20, 4)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_never_taken(broken: float) -> None:
    found = evolve(lambda factors: broken if factors["a"] > 1 else distance(factors), list(GOAL), 60, 0)
    assert found["a"] <= 1
    assert evolve(lambda factors: broken, list(GOAL), 5, 0) == dict.fromkeys(GOAL, 1.0)


def test_nothing_is_tried_without_trials() -> None:
    assert evolve(distance, list(GOAL), 0, 0) == dict.fromkeys(GOAL, 1.0)

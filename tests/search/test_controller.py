from __future__ import annotations

import math

import pytest

from hwtickets.search.controller import BudgetController


def test_the_strength_moves_towards_the_budget() -> None:
    assert BudgetController(0.1).update(value=1.5, limit=1.0) == pytest.approx(0.1 * math.exp(0.5))
    assert BudgetController(0.1).update(value=0.5, limit=1.0) == pytest.approx(0.1 * math.exp(-0.5))
    assert BudgetController(0.1).update(value=1.0, limit=1.0) == 0.1


def test_one_update_is_bounded_in_both_directions() -> None:
    assert BudgetController(1.0, gain=9.0).update(100.0, 1.0) == pytest.approx(4.0)
    assert BudgetController(1.0, gain=9.0, largest_factor=2.0).update(0.0, 1.0) == pytest.approx(0.5)


def test_dual_ascent_settles_on_the_limit() -> None:
    controller = BudgetController(1e-3)
    value = 5.0
    for _ in range(60):
        # A cost that falls as the penalty grows, as training would show it.
        value = 5.0 / (1 + 10 * controller.update(value, 2.0))
    assert value == pytest.approx(2.0, rel=0.01)

from __future__ import annotations

import pytest

from hwtickets.search.schedules import ShrinkSchedule, even_shares, sparsity_steps


def test_limits_fall_by_equal_ratios_to_just_above_the_budget() -> None:
    schedule = ShrinkSchedule(
        {"latency": 16.0, "macs": 100.0}, {"latency": 1.0, "macs": 95.0}, 4, headroom=1.0
    )
    assert [schedule.at(event)["latency"] for event in (1, 2, 3, 4)] == pytest.approx([8.0, 4.0, 2.0, 1.0])
    assert schedule.at(4)["macs"] == pytest.approx(95.0)


def test_a_limit_is_never_above_the_dense_network() -> None:
    schedule = ShrinkSchedule({"latency": 10.0}, {"latency": 9.5}, 3, headroom=1.2)
    assert [schedule.at(event)["latency"] for event in (1, 2, 3)] == [10.0, 10.0, 10.0]


def test_events_are_spread_evenly() -> None:
    assert even_shares(0.2, 0.8, 4) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert even_shares(0.2, 0.8, 1) == [0.8]
    assert even_shares(0.2, 0.8, 0) == []


def test_sparsity_goes_up_by_tenths_to_the_target() -> None:
    assert sparsity_steps(0.3) == pytest.approx([0.1, 0.2, 0.3])
    assert sparsity_steps(0.04) == [0.04]
    assert sparsity_steps(0.0) == []

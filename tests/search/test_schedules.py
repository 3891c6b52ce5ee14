from __future__ import annotations

import itertools

import pytest

from hwtickets.errors import UsageError
from hwtickets.search.schedules import ShrinkSchedule, even_shares, prune_sparsities, sparsity_steps


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


def test_the_default_schedule_is_the_papers() -> None:
    assert prune_sparsities("steps-of-0.1", 0.9) == sparsity_steps(0.9)
    assert prune_sparsities("steps-of-0.25", 0.5) == pytest.approx([0.25, 0.5])


def test_one_shot_is_one_event() -> None:
    assert prune_sparsities("one-shot", 0.9) == [0.9]


def test_cubic_is_fast_first() -> None:
    sparsities = prune_sparsities("cubic", 0.8)
    # Zhu and Gupta, equation 1: halfway, 7/8 of the target are gone.
    assert len(sparsities) == 10 and sparsities[4] == pytest.approx(0.8 * 7 / 8)
    steps = [after - before for before, after in itertools.pairwise([0.0, *sparsities])]
    assert steps == sorted(steps, reverse=True) and sparsities[-1] == pytest.approx(0.8)


def test_sparsities_can_be_given() -> None:
    assert prune_sparsities([0.2, 0.7, 0.75], 0.75) == [0.2, 0.7, 0.75]


@pytest.mark.parametrize("schedule", ["steps-of-0.1", "cubic", "one-shot", []])
def test_without_sparsity_there_are_no_events(schedule: str | list[float]) -> None:
    assert prune_sparsities(schedule, 0.0) == []


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("steps-of-0", "unknown prune schedule"),
        ("steps-of-many", "unknown prune schedule"),
        ("0.1", "unknown prune schedule"),
        ([0.4, 0.2, 0.5], "must ascend"),
        ([0.5, 1.0], "must ascend"),
        ([0.2, 0.4], "does not end at sparsity 0.5"),
        ([], "does not end at sparsity 0.5"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(schedule: str | list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prune_sparsities(schedule, 0.5)

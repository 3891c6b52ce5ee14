from __future__ import annotations

import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import DeviceError
from hwtickets.runtimes import Timing, load, median_ms, paired_ratio, time_interleaved
from hwtickets.runtimes.clocks import WALL_CLOCK, Timer
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.timing import median_ratio


class _Recorded:
    """Notes in a common list when it runs, and takes as long as it is told."""

    def __init__(self, name: str, runs: list[str], clock: str = WALL_CLOCK, takes_ms: float = 1.0) -> None:
        self.name, self.runs, self.clock, self.takes_ms = name, runs, clock, takes_ms

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        self.runs.append(self.name)
        return []

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        def once() -> float:
            self.run(inputs)
            return self.takes_ms

        return once


def test_percentiles_of_known_samples() -> None:
    timing = Timing([float(value) for value in range(101)], "wall clock")
    assert (timing.p10_ms, timing.p50_ms, timing.p90_ms, timing.p99_ms) == (10, 50, 90, 99)
    assert timing.summary()["runs"] == 101


def test_untimed_runs_go_on_until_a_gpu_would_be_warm() -> None:
    order: list[str] = []
    begin_s = time.perf_counter()
    timings = time_interleaved({"a": _Recorded("a", order)}, {}, runs=5, warmup=2, seconds=0, warmup_s=0.05)
    assert time.perf_counter() - begin_s >= 0.05
    assert timings["a"].runs == 15 and len(order) > 2 + 18


def test_networks_take_turns_in_alternating_order_and_the_first_run_of_a_turn_does_not_count() -> None:
    order: list[str] = []
    sessions = {name: _Recorded(name, order) for name in "ab"}
    timings = time_interleaved(sessions, {}, runs=20, warmup=2)
    assert "".join(order) == "aabb" + "bbbbbbaaaaaa" + "aaaaaabbbbbb" + "bbbbbbaaaaaa" + "aaaaaabbbbbb"
    assert {name: timing.runs for name, timing in timings.items()} == {"a": 20, "b": 20}


@given(st.lists(st.floats(0.2, 5.0), min_size=1, max_size=40), st.floats(0.1, 10.0))
def test_however_the_machine_changes_its_speed_the_ratio_stays(speeds: list[float], times: float) -> None:
    one = Timing([times * speed for speed in speeds], WALL_CLOCK)
    assert median_ratio(one, Timing(speeds, WALL_CLOCK)) == pytest.approx(times)


def test_runs_that_are_no_pairs_are_compared_by_their_medians() -> None:
    one, other = Timing([4.0, 6.0, 8.0], WALL_CLOCK), Timing([1.0, 3.0], WALL_CLOCK)
    assert median_ratio(one, other) == 3.0


def test_turns_in_which_the_machine_throttled_are_discarded_and_counted() -> None:
    # What is told before the first turn is of the time before; then of each turn.
    told = iter(["too hot", "", "too hot", "", ""])
    sessions = {name: _Recorded(name, []) for name in "ab"}
    timings = time_interleaved(sessions, {}, runs=20, slowed_by=lambda: next(told))
    assert [(one.runs, one.discarded) for one in timings.values()] == [(15, 5), (15, 5)]


def test_a_machine_that_throttles_most_of_the_time_is_not_measured() -> None:
    with pytest.raises(DeviceError, match=r"throttled in 3 of 3 turns \(too hot\); cool it"):
        time_interleaved({"a": _Recorded("a", [])}, {}, runs=15, slowed_by=lambda: "too hot")


def test_a_time_limit_leaves_three_turns() -> None:
    timings = time_interleaved({"a": _Recorded("a", [])}, {}, runs=1000, seconds=0)
    assert timings["a"].runs == 15


def test_one_thread_is_timed_by_its_cpu_time_and_several_by_the_wall_clock(model: bytes) -> None:
    session = load(model)
    timing = time_interleaved({"model": session}, session.random_inputs(), runs=5)["model"]
    assert timing.clock == "thread CPU time"
    assert min(timing.samples_ms) > 0
    several = load(model, threads=2)
    timing = time_interleaved({"model": several}, several.random_inputs(), runs=5)["model"]
    assert timing.clock == "wall clock" and min(timing.samples_ms) > 0


def test_networks_of_several_runtimes_keep_their_own_clocks() -> None:
    sessions = {"a": _Recorded("a", [], "CUDA events", 2.0), "b": _Recorded("b", [], takes_ms=3.0)}
    timings = time_interleaved(sessions, {}, runs=5)
    assert (timings["a"].clock, timings["b"].clock) == ("CUDA events", "wall clock")
    assert set(timings["a"].samples_ms) == {2.0} and set(timings["b"].samples_ms) == {3.0}


def test_the_interval_of_a_median_holds_it_and_is_wider_where_turns_differ() -> None:
    steady = Timing([1.0, 1.1, 1.2, 1.1, 1.0] * 20, "wall clock")
    restless = Timing([speed * ms for speed in (1.0, 1.5) * 10 for ms in steady.samples_ms[:5]], "wall clock")
    widths = []
    for timing in (steady, restless):
        median, low, high = median_ms(timing)
        assert low <= median <= high and median == pytest.approx(timing.p50_ms)
        widths.append(high - low)
    assert widths[0] < widths[1]


def test_the_ratio_of_a_network_to_itself_is_one() -> None:
    timing = Timing([1.0, 2.0, 3.0, 2.0, 1.0] * 4, "wall clock")
    assert paired_ratio(timing, timing) == (1.0, 1.0, 1.0)


def test_the_interval_holds_the_true_ratio_although_the_machine_changes_speed() -> None:
    slow_ms = [speed * (1 + 0.01 * (i % 5)) for speed in (1.0, 2.0, 1.5, 3.0) for i in range(5)]
    fast_ms = [ms * 0.4 for ms in slow_ms]
    median, low, high = paired_ratio(Timing(fast_ms, "wall clock"), Timing(slow_ms, "wall clock"))
    assert low <= median <= high
    assert median == pytest.approx(0.4)

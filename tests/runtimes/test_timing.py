from __future__ import annotations

from collections.abc import Mapping

import pytest

from hwtickets.runtimes import Timing, load, paired_ratio, time_interleaved
from hwtickets.runtimes.onnxruntime import Array


class _Recorded:
    """Notes in a common list when it runs."""

    def __init__(self, name: str, runs: list[str], threads: int = 1) -> None:
        self.name, self.runs, self.threads = name, runs, threads

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        self.runs.append(self.name)
        return []


def test_percentiles_of_known_samples() -> None:
    timing = Timing([float(value) for value in range(101)], "wall clock")
    assert (timing.p10_ms, timing.p50_ms, timing.p90_ms, timing.p99_ms) == (10, 50, 90, 99)
    assert timing.summary()["runs"] == 101


def test_networks_take_turns_in_alternating_order_and_the_first_run_of_a_turn_does_not_count() -> None:
    order: list[str] = []
    sessions = {name: _Recorded(name, order) for name in "ab"}
    timings = time_interleaved(sessions, {}, runs=20, warmup=2)
    assert "".join(order) == "aabb" + "bbbbbbaaaaaa" + "aaaaaabbbbbb" + "bbbbbbaaaaaa" + "aaaaaabbbbbb"
    assert {name: timing.runs for name, timing in timings.items()} == {"a": 20, "b": 20}


def test_a_time_limit_leaves_three_turns() -> None:
    timings = time_interleaved({"a": _Recorded("a", [])}, {}, runs=1000, seconds=0)
    assert timings["a"].runs == 15


def test_one_thread_is_timed_by_its_cpu_time_and_several_by_the_wall_clock(model: bytes) -> None:
    session = load(model)
    timing = time_interleaved({"model": session}, session.random_inputs(), runs=5)["model"]
    assert timing.clock == "thread CPU time"
    assert min(timing.samples_ms) > 0
    assert time_interleaved({"a": _Recorded("a", [], threads=2)}, {}, runs=5)["a"].clock == "wall clock"


def test_the_ratio_of_a_network_to_itself_is_one() -> None:
    timing = Timing([1.0, 2.0, 3.0, 2.0, 1.0] * 4, "wall clock")
    assert paired_ratio(timing, timing) == (1.0, 1.0, 1.0)


def test_the_interval_holds_the_true_ratio_although_the_machine_changes_speed() -> None:
    slow_ms = [speed * (1 + 0.01 * (i % 5)) for speed in (1.0, 2.0, 1.5, 3.0) for i in range(5)]
    fast_ms = [ms * 0.4 for ms in slow_ms]
    median, low, high = paired_ratio(Timing(fast_ms, "wall clock"), Timing(slow_ms, "wall clock"))
    assert low <= median <= high
    assert median == pytest.approx(0.4)

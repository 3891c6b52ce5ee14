from __future__ import annotations

from benchmarks.uncertainty import measured
from hwtickets.main_job.delivery import DRAW_RUNS
from tests.benchmarks.tiny_architecture import TINY


def test_both_ways_measure_the_same_ratio() -> None:
    found = measured(TINY, rounds=1)
    once, longer = found["once"], found["until 1 %"]
    assert once["runs"] == DRAW_RUNS <= longer["runs"] <= 10 * DRAW_RUNS
    assert once["ratio"] > 0 and longer["ratio"] > 0
    assert 0 <= longer["deviation"] <= longer["furthest"]

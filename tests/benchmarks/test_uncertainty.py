from __future__ import annotations

from benchmarks.architectures import ZOO
from benchmarks.uncertainty import measured
from hwtickets.main_job.delivery import DRAW_RUNS


def test_both_ways_measure_the_same_ratio() -> None:
    (unet3d,) = (architecture for architecture in ZOO if architecture.name == "unet3d")
    found = measured(unet3d, rounds=1)
    once, longer = found["once"], found["until 1 %"]
    assert once["runs"] == DRAW_RUNS <= longer["runs"] <= 10 * DRAW_RUNS
    assert 0 < once["ratio"] < 1 and 0 < longer["ratio"] < 1
    assert 0 <= longer["deviation"] <= longer["furthest"]

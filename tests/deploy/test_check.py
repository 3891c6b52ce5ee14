"""How long networks are timed side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.deploy import check
from hwtickets.deploy.check import Measurement, measure
from hwtickets.runtimes import Timing

IMAGE = np.zeros((1, 1, 4, 4), np.float32)
MODELS = {"dense": Path("dense.onnx"), "ticket": Path("ticket.onnx")}


class Noisy:
    """A device whose neighbours slow single turns down; what it runs takes 2 and 1 ms."""

    def __init__(self, spread: float) -> None:
        self.calls, self._spread, self._random = 0, spread, np.random.default_rng(0)

    def time(self, models: Mapping[str, Path], inputs: Any, runs: int) -> dict[str, Timing]:
        self.calls += 1
        sizes = {"dense": 2.0, "ticket": 1.0}
        slowed = {name: 1 + self._spread * self._random.random(runs // 5) for name in models}
        clocks = ({"cpu": self.calls},)
        return {
            name: Timing(list(sizes[name] * slowed[name].repeat(5)), "wall clock", 1, clocks)
            for name in models
        }


def _measured(bench: Noisy, uncertainty: float | None) -> Measurement:
    return measure(MODELS, "dense", bench, 100, IMAGE, uncertainty)  # type: ignore[arg-type]


def test_a_steady_device_is_measured_once() -> None:
    bench = Noisy(0.001)
    assert _measured(bench, 0.01).timings["ticket"].runs == 100 and bench.calls == 1
    assert _measured(Noisy(0.5), None).timings["ticket"].runs == 100


def test_a_disturbed_device_is_measured_until_the_ratio_is_known() -> None:
    bench = Noisy(0.3)
    once, longer = _measured(Noisy(0.3), None), _measured(bench, 0.03)
    assert once.uncertainty > 0.03 >= longer.uncertainty and 1 < bench.calls < 10
    assert longer.ratios["ticket"][0] == pytest.approx(0.5, rel=0.05)
    ticket = longer.timings["ticket"]
    assert ticket.runs == 100 * bench.calls and ticket.discarded == bench.calls
    assert [clocks["cpu"] for clocks in ticket.clocks_mhz] == list(range(1, bench.calls + 1))


def test_a_device_that_never_comes_to_rest_is_left_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Noisy(2.0)
    assert _measured(bench, 0.001).timings["ticket"].runs == 1000 and bench.calls == 10
    monkeypatch.setattr(check, "_LONGEST_S", 0.0)
    assert _measured(bench, 0.001).timings["ticket"].runs == 100 and bench.calls == 11

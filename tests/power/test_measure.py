from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hwtickets.power import energy_per_run
from hwtickets.power.ina3221 import Ina3221Meter, find_rails


def test_energy_of_a_run_in_total_and_above_idle(sysfs: Callable[..., Path]) -> None:
    root = sysfs({"1-0040": {"VDD_IN": (5000, 400)}})
    current = find_rails(root)["VDD_IN"].current
    runs = 0

    def run() -> None:
        nonlocal runs
        runs += 1
        # The first runs warm up; after them the board idles, and then it works.
        if runs == 6:
            current.with_name("next").write_text("1000")
            current.with_name("next").replace(current)
        time.sleep(0.002)

    found = energy_per_run(run, Ina3221Meter(root, 0.001), seconds=0.2, idle_seconds=0.05)
    assert found.runs == runs - 5
    assert found.idle_mw == pytest.approx(2000)
    assert found.total_mj == pytest.approx(5000 * found.seconds / found.runs, rel=0.05)
    assert found.above_idle_mj == pytest.approx(3000 * found.seconds / found.runs, rel=0.08)
    assert found.as_dict()["sensor"] == "INA3221 VDD_IN"


def test_a_network_slower_than_the_window_runs_once(sysfs: Callable[..., Path]) -> None:
    root = sysfs({"1-0040": {"VDD_IN": (5000, 400)}})
    found = energy_per_run(lambda: time.sleep(0.01), Ina3221Meter(root), seconds=0.0, idle_seconds=0.01)
    assert found.runs == 1
    assert found.total_mj == pytest.approx(2000 * found.seconds)

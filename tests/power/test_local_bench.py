from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hwtickets.power import NoMeterError
from hwtickets.power import find as finding
from hwtickets.power.ina3221 import Ina3221Meter
from hwtickets.runtimes import LocalBench
from hwtickets.runtimes.onnxruntime import OnnxRuntime
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import random_inputs, skeleton_model


@pytest.fixture
def network() -> tuple[bytes, Mapping[str, Any]]:
    builder = GraphBuilder(1, 8, 8)
    builder.linear("head", "linear", builder.pool("head", "pool", builder.graph.input), 4)
    return skeleton_model(builder.graph), random_inputs(builder.graph, 0)


def test_a_local_bench_is_measured_with_the_sensor_of_this_machine(
    network: tuple[bytes, Mapping[str, Any]], sysfs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Ina3221Meter(sysfs({"1-0040": {"VDD_IN": (5000, 1000)}}))
    monkeypatch.setattr(finding, "_of_this_machine", lambda gpu: [meter])
    bench = LocalBench({}, OnnxRuntime(1))
    found = bench.energy(*network)
    assert bench.sensor() == "INA3221" and found.runs > 1
    assert found.total_mj == pytest.approx(5000 * found.seconds / found.runs)
    assert found.above_idle_mj == pytest.approx(0, abs=1e-6)


def test_a_local_bench_without_a_sensor(
    network: tuple[bytes, Mapping[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_of_this_machine", lambda gpu: [Ina3221Meter(tmp_path)])
    with pytest.raises(NoMeterError, match="energy is not available on this machine: INA3221: there is no"):
        LocalBench({}, OnnxRuntime(1)).energy(*network)

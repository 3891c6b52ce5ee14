from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.devices import DeviceProfile
from hwtickets.errors import DeviceError
from hwtickets.power import NoMeterError
from hwtickets.power import find as finding
from hwtickets.power.bench import bench_energy
from hwtickets.power.ina3221 import Ina3221Meter
from hwtickets.runtimes import LocalBench
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import random_inputs, skeleton_model


@pytest.fixture
def network() -> tuple[bytes, Mapping[str, Any]]:
    builder = GraphBuilder(1, 8, 8)
    builder.linear("head", "linear", builder.pool("head", "pool", builder.graph.input), 4)
    return skeleton_model(builder.graph), random_inputs(builder.graph, 0)


CPU = DeviceProfile(name="cpu", description="")


def test_a_local_bench_is_measured_with_the_sensor_of_this_machine(
    network: tuple[bytes, Mapping[str, Any]],
    sysfs: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter = Ina3221Meter(sysfs({"1-0040": {"VDD_IN": (5000, 1000)}}))
    monkeypatch.setattr(finding, "_of_this_machine", lambda gpu: [meter])
    found = bench_energy(LocalBench({}, 1), CPU, *network, seconds=0.05)
    assert found.runs > 1
    assert found.total_mj == pytest.approx(5000 * found.seconds / found.runs)
    assert np.isfinite(found.above_idle_mj)


def test_a_local_bench_without_a_sensor(
    network: tuple[bytes, Mapping[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_of_this_machine", lambda gpu: [Ina3221Meter(tmp_path)])
    with pytest.raises(NoMeterError, match="energy is not available on cpu: INA3221: there is no"):
        bench_energy(LocalBench({}, 1), CPU, *network)


class Board(LocalBench):
    """A board whose agent answers, or says why it does not."""

    def __init__(self, answer: dict[str, Any] | str) -> None:
        super().__init__({}, 1)
        self._answer = answer

    def power_samples(self, model: bytes, inputs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        if isinstance(self._answer, str):
            raise DeviceError(self._answer)
        return self._answer


ORIN = DeviceProfile(name="orin", description="", connection="ssh", host="orin.local")


def test_a_board_sends_its_readings(network: tuple[bytes, Mapping[str, Any]]) -> None:
    moments = [[0.1 * index, 4000.0] for index in range(1, 11)]
    answer = {"rails": ["VDD_IN"], "idle": moments, "busy": moments, "runs": 10}
    found = bench_energy(Board(answer), ORIN, *network)
    assert (found.total_mj, found.above_idle_mj) == (pytest.approx(400), pytest.approx(0))


def test_a_board_without_a_sensor_is_told_from_one_that_is_lost(
    network: tuple[bytes, Mapping[str, Any]],
) -> None:
    with pytest.raises(NoMeterError, match=r"energy is not available on orin: .*no power sensor"):
        bench_energy(Board("orin: no power sensor was found (looked for INA3221 in sysfs)"), ORIN, *network)
    with pytest.raises(DeviceError, match="the connection was lost") as caught:
        bench_energy(Board("orin: the connection was lost"), ORIN, *network)
    assert not isinstance(caught.value, NoMeterError)


def test_a_runtime_that_nothing_is_measured_with(network: tuple[bytes, Mapping[str, Any]]) -> None:
    device = ORIN.model_copy(update={"runtime": "trtexec"})
    with pytest.raises(NoMeterError, match="nothing reads its sensors while trtexec runs"):
        bench_energy(LocalBench({}, 1), device, *network)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwtickets.errors import DeviceError
from hwtickets.power import find_meter
from hwtickets.power.ina3221 import Ina3221Meter
from hwtickets.power.tegrastats import TegrastatsMeter


def test_the_first_that_answers_is_taken(sysfs: Callable[..., Path], tmp_path: Path) -> None:
    missing = TegrastatsMeter(["no-such-tegrastats"])
    board = Ina3221Meter(sysfs({"1-0040": {"VDD_IN": (5000, 1000)}}))
    assert find_meter("orin", gpu=True, meters=[missing, board]) is board


def test_where_none_answers_there_is_one_line_with_every_reason(tmp_path: Path) -> None:
    meters = [Ina3221Meter(tmp_path), TegrastatsMeter(["no-such-tegrastats"])]
    with pytest.raises(DeviceError) as caught:
        find_meter("orin", gpu=True, meters=meters)
    text = str(caught.value)
    assert text.startswith("energy is not available on orin: INA3221: there is no INA3221 power monitor")
    assert text.endswith("tegrastats: there is no program 'no-such-tegrastats'")
    assert "\n" not in text
    assert caught.value.exit_code == 4


def test_a_network_on_the_cpu_is_not_measured_at_the_gpu() -> None:
    try:
        meter = find_meter("cpu", gpu=False)
    except DeviceError as error:
        assert "NVML" not in str(error)
    else:
        assert meter.name != "NVML"

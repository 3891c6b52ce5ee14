from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hwtickets.errors import DeviceError
from hwtickets.power.ina3221 import Ina3221Meter, find_rails

ORIN_NX = {"1-0040": {"VDD_IN": (4968, 1000), "VDD_CPU_GPU_CV": (4968, 300), "VDD_SOC": (4968, 200)}}
AGX_ORIN = {
    "1-0040": {"VDD_GPU_SOC": (19000, 200), "VDD_CPU_CV": (19000, 50), "VIN_SYS_5V0": (5000, 900)},
    "1-0041": {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5000, 100)},
}


def test_the_input_of_an_orin_nx_is_the_whole(sysfs: Callable[..., Path]) -> None:
    meter = Ina3221Meter(sysfs(ORIN_NX), interval_s=0.002)
    assert meter.available() is None
    sample = meter.measure(lambda: time.sleep(0.03))
    assert sample.power_mw == pytest.approx(4968)
    assert sample.sensor == "INA3221 VDD_IN"


def test_the_rails_of_an_agx_orin_are_added_and_memory_is_not_counted_twice(
    sysfs: Callable[..., Path],
) -> None:
    root = sysfs(AGX_ORIN)
    assert sorted(find_rails(root)) == ["VDDQ_VDD2_1V8AO", "VDD_CPU_CV", "VDD_GPU_SOC", "VIN_SYS_5V0"]
    sample = Ina3221Meter(root).measure(lambda: time.sleep(0.02))
    assert sample.power_mw == pytest.approx(19 * 200 + 19 * 50 + 5 * 900)
    assert sample.sensor == "INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"


def test_the_older_files_of_jetpack_4(tmp_path: Path) -> None:
    folder = tmp_path / "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    folder.mkdir(parents=True)
    for number, (name, current) in enumerate([("POM_5V_IN", "400"), ("POM_5V_GPU", "40")]):
        (folder / f"rail_name_{number}").write_text(name)
        (folder / f"in_voltage{number}_input").write_text("5000")
        (folder / f"in_current{number}_input").write_text(current)
    assert Ina3221Meter(tmp_path).measure(lambda: time.sleep(0.01)).power_mw == pytest.approx(2000)


def test_a_power_that_changes_while_it_is_measured_is_followed(sysfs: Callable[..., Path]) -> None:
    root = sysfs(ORIN_NX)
    current = find_rails(root)["VDD_IN"].current
    begun = threading.Event()

    def board() -> None:
        begun.wait()
        time.sleep(0.1)
        replacement = current.with_name("next")
        replacement.write_text("3000")
        replacement.replace(current)

    thread = threading.Thread(target=board)
    thread.start()

    def work() -> None:
        begun.set()
        thread.join()
        time.sleep(0.1)

    sample = Ina3221Meter(root, interval_s=0.001).measure(work)
    assert 1.05 * 4968 < sample.power_mw < 0.95 * 3 * 4968


@pytest.mark.parametrize(
    ("rails", "reason"),
    [
        ({}, "no INA3221 power monitor"),
        ({"1-0040": {"VDD_CORE": (1000, 10)}}, r"its rails \(VDD_CORE\) are not known to add up"),
        ({"1-0040": {"VDD_IN": (0, 0)}}, "reads no power"),
    ],
)
def test_without_the_whole_module_there_is_a_reason(
    sysfs: Callable[..., Path], rails: dict[str, dict[str, tuple[int, int]]], reason: str
) -> None:
    meter = Ina3221Meter(sysfs(rails))
    with pytest.raises(DeviceError, match=reason):
        meter.measure(lambda: None)
    assert meter.available() is not None


@pytest.mark.parametrize("content", ["", "nan", "many", None])
def test_a_channel_that_says_nonsense_is_a_reason(sysfs: Callable[..., Path], content: str | None) -> None:
    root = sysfs(ORIN_NX)
    current = find_rails(root)["VDD_IN"].current
    current.unlink() if content is None else current.write_text(content)
    assert "does not answer" in str(Ina3221Meter(root).available())


def test_a_channel_that_vanishes_while_it_is_measured(sysfs: Callable[..., Path]) -> None:
    root = sysfs(ORIN_NX)

    def work() -> None:
        find_rails(root)["VDD_IN"].voltage.unlink()
        time.sleep(0.02)

    with pytest.raises(DeviceError, match="INA3221 VDD_IN stopped answering"):
        Ina3221Meter(root, interval_s=0.001).measure(work)

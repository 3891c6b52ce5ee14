from __future__ import annotations

import sys
import time

import pytest

from hwtickets.errors import DeviceError
from hwtickets.power.nvml import NvmlMeter


class NotSupportedError(Exception):
    def __str__(self) -> str:
        return "Not Supported"


class Library:
    """What pynvml answers, as NVIDIA describes it for each kind of board; the real one needs a GPU.

    Args:
        energies_mj: Readings of the energy counter; None: not supported.
        power_mw: None: not supported.
    """

    NVMLError = NotSupportedError

    def __init__(self, energies_mj: list[int] | None, power_mw: int | None) -> None:
        self._energies_mj, self._power_mw = energies_mj, power_mw

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index:
            raise NotSupportedError
        return 7

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        if uuid != "GPU-1b2c":
            raise NotSupportedError
        return 8

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return b"Some GPU" if handle == 7 else b"Other GPU"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        if self._energies_mj is None:
            raise NotSupportedError
        return self._energies_mj.pop(0) if len(self._energies_mj) > 1 else self._energies_mj[0]

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        if self._power_mw is None:
            raise NotSupportedError
        return self._power_mw


def test_a_discrete_gpu_counts_energy() -> None:
    sample = NvmlMeter(library=Library([100, 1000, 3500], 5)).measure(lambda: None)
    assert sample.energy_mj == 2500
    assert sample.sensor == "NVML energy counter of Some GPU"


def test_an_older_gpu_is_polled() -> None:
    sample = NvmlMeter(library=Library(None, 80_000)).measure(lambda: time.sleep(0.03))
    assert sample.power_mw == pytest.approx(80_000)
    assert sample.sensor == "NVML power of Some GPU"


def test_a_jetson_has_a_device_but_no_power() -> None:
    meter = NvmlMeter(library=Library(None, None))
    reason = meter.available()
    assert reason == (
        "NVML knows neither energy nor power of Some GPU (nvmlDeviceGetPowerUsage: Not Supported)"
    )
    with pytest.raises(DeviceError, match="neither energy nor power"):
        meter.measure(lambda: None)


def test_a_counter_that_stands_still_is_an_error_and_not_0() -> None:
    with pytest.raises(DeviceError, match="did not move"):
        NvmlMeter(library=Library([1000], None)).measure(lambda: None)


def test_the_gpu_is_the_one_that_cuda_calls_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for named, title in (("", "Some GPU"), ("0,1", "Some GPU"), ("GPU-1b2c", "Other GPU")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        sample = NvmlMeter(library=Library([100, 1000, 3500], 5)).measure(lambda: None)
        assert sample.sensor == f"NVML energy counter of {title}"


@pytest.mark.parametrize("named", ["1", "-1", "GPU-none"])
def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    reason = NvmlMeter(library=Library([1], 1)).available()
    assert reason == f"NVML finds no GPU {named} (Not Supported)"


def test_without_a_driver_there_is_a_reason() -> None:
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert "NVML finds no GPU 0" in str(NvmlMeter().available())
    else:
        pytest.skip("this machine has an NVIDIA driver")


def test_without_the_library_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert NvmlMeter().available() == (
        "nvidia-ml-py is not installed; install it with: pip install 'hwtickets[nvml]'"
    )


def test_a_real_gpu_that_is_there_is_measured() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    meter = NvmlMeter()
    reason = meter.available()
    if reason is not None:
        pytest.skip(reason)
    assert meter.measure(lambda: time.sleep(2)).energy_mj > 0

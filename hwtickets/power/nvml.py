"""NVIDIA's management library: the energy counter of a discrete GPU, else its power, polled."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from hwtickets.errors import DeviceError
from hwtickets.power.meter import EnergySample, measure_by_polling
from hwtickets.power.visible import first_visible, nvml_handle

_INTERVAL_S = 0.01


class NvmlMeter:
    """Energy of the GPU that CUDA calls its first, its memory included, the rest of the computer not.

    Every call is asked for on its own: on a Jetson NVML starts and counts a device, but knows no power.

    Args:
        library: The module `pynvml` of nvidia-ml-py; imported when it is needed if None.
    """

    name = "NVML"

    def __init__(self, library: Any = None) -> None:
        self._library = library

    def available(self) -> str | None:
        """None if the GPU tells its energy or its power, else why not."""
        try:
            self._opened().probe()
        except DeviceError as error:
            return str(error)
        return None

    def measure(self, work: Callable[[], object]) -> EnergySample:
        """Energy of the GPU while `work` runs; take windows of some seconds, the counter moves in steps.

        Raises:
            DeviceError: See `available`; or the counter did not move.
        """
        device = self._opened()
        if device.probe() == "power":
            return measure_by_polling(device.power_mw, work, _INTERVAL_S, f"NVML power of {device.title}")
        sensor = f"NVML energy counter of {device.title}"
        begin_mj, begin_s = device.energy_mj(), time.perf_counter()
        work()
        end_mj, end_s = device.energy_mj(), time.perf_counter()
        if end_mj <= begin_mj:
            raise DeviceError(f"the {sensor} did not move in {end_s - begin_s:.2g} s; measure for longer")
        return EnergySample(end_mj - begin_mj, end_s - begin_s, 2, sensor)

    def _opened(self) -> _Gpu:
        if self._library is None:
            try:
                self._library = importlib.import_module("pynvml")
            except ImportError as error:
                raise DeviceError(
                    "nvidia-ml-py is not installed; install it with: pip install 'hwtickets[nvml]'"
                ) from error
        return _Gpu(self._library)


class _Gpu:
    """A GPU that NVML knows.

    Raises:
        DeviceError: There is no driver or no such GPU.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        try:
            library.nvmlInit()
            self._handle = nvml_handle(library)
            name = library.nvmlDeviceGetName(self._handle)
        except library.NVMLError as error:
            raise DeviceError(f"NVML finds no GPU {first_visible()} ({error})") from error
        # Releases of nvidia-ml-py before 11.5 return bytes.
        self.title = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)

    def probe(self) -> str:
        """What the GPU tells: "energy" if it counts that, "power" if only the present power.

        Raises:
            DeviceError: It does neither.
        """
        for kind, call in (("energy", self.energy_mj), ("power", self.power_mw)):
            try:
                call()
            except OSError as error:
                reason = error
            else:
                return kind
        raise DeviceError(f"NVML knows neither energy nor power of {self.title} ({reason})")

    def energy_mj(self) -> float:
        """Energy since the driver was loaded, in mJ; Volta and later."""
        return float(self._asked("nvmlDeviceGetTotalEnergyConsumption"))

    def power_mw(self) -> float:
        """Present power in mW."""
        return float(self._asked("nvmlDeviceGetPowerUsage"))

    def _asked(self, call: str) -> Any:
        try:
            return getattr(self._library, call)(self._handle)
        except (self._library.NVMLError, AttributeError) as error:
            raise OSError(f"{call}: {error}") from error

"""What a power meter is, and how readings of power become energy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwtickets.errors import DeviceError

#: A moment (time.perf_counter, in s) and the power at it, in mW.
Reading = tuple[float, float]


@dataclass(frozen=True)
class EnergySample:
    """Energy of one window of time.

    Attributes:
        energy_mj: Energy in mJ; of everything that the sensor feeds, not of one program.
        seconds: Length of the window.
        samples: Readings that it was integrated from; 2 where the sensor counts energy itself.
        sensor: What was read, e.g. "INA3221 VDD_IN".
    """

    energy_mj: float
    seconds: float
    samples: int
    sensor: str

    @property
    def power_mw(self) -> float:
        """Mean power of the window, in mW."""
        return self.energy_mj / self.seconds


class PowerMeter(Protocol):
    """A sensor.

    Attributes:
        name: e.g. "INA3221".
    """

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def available(self) -> str | None:
        """Asks the sensor; None if it answers, else why not."""

    def measure(self, work: Callable[[], object]) -> EnergySample:
        """Energy while `work` runs.

        Raises:
            DeviceError: The sensor does not answer, or stopped in between.
        """


def measure_by_polling(
    read_mw: Callable[[], float], work: Callable[[], object], interval_s: float, sensor: str
) -> EnergySample:
    """Reads the power again and again in a thread while `work` runs here, and integrates.

    Args:
        read_mw: Reads the present power in mW; raises OSError or ValueError where it cannot.
        work: What is measured.
        interval_s: Pause between two readings; a slow sensor makes it longer.
        sensor: Name of the sensor.

    Raises:
        DeviceError: A reading failed.
    """
    poller = _Poller(read_mw, interval_s)
    try:
        poller.read()
        poller.start()
        begin_s = time.perf_counter()
        try:
            work()
        finally:
            end_s = time.perf_counter()
            poller.stop()
        if poller.failure is not None:
            raise poller.failure
        poller.read()
    except (OSError, ValueError) as error:
        raise DeviceError(f"{sensor} stopped answering: {error}; measure again") from error
    return sampled(poller.readings, begin_s, end_s, sensor)


def sampled(readings: Sequence[Reading], begin_s: float, end_s: float, sensor: str) -> EnergySample:
    """The energy between two moments, from readings in order of time.

    Raises:
        DeviceError: It is not above 0: the sensor is switched off or wired elsewhere.
    """
    energy_mj = integral_mj(readings, begin_s, end_s)
    if not energy_mj > 0:
        raise DeviceError(f"{sensor} reads no power; energy cannot be measured with it")
    return EnergySample(energy_mj, end_s - begin_s, len(readings), sensor)


def integral_mj(readings: Sequence[Reading], begin_s: float, end_s: float) -> float:
    """Energy between two moments, in mJ: trapezoids between the readings, which are in order of time.

    Before the first reading and after the last one the power is taken to be theirs.
    """
    times_s = np.array([moment for moment, _ in readings])
    powers_mw = np.array([power for _, power in readings])
    inside = (times_s > begin_s) & (times_s < end_s)
    moments_s = np.concatenate([[begin_s], times_s[inside], [end_s]])
    powers_mw = np.interp(moments_s, times_s, powers_mw)
    steps_s = np.diff(moments_s)
    return float((steps_s * (powers_mw[1:] + powers_mw[:-1]) / 2).sum())


class _Poller:
    """Readings of a thread; `failure` is what ended it early."""

    def __init__(self, read_mw: Callable[[], float], interval_s: float) -> None:
        self.readings: list[Reading] = []
        self.failure: OSError | ValueError | None = None
        self._read_mw, self._interval_s = read_mw, interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="power meter", daemon=True)

    def read(self) -> None:
        """Takes one reading now; its moment is the middle of the reading."""
        begin_s = time.perf_counter()
        power_mw = self._read_mw()
        self.readings.append(((begin_s + time.perf_counter()) / 2, power_mw))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self.read()
            except (OSError, ValueError) as error:
                self.failure = error
                return

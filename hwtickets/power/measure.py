"""Energy of one inference: a network runs back to back for some seconds while a meter counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from hwtickets.power.meter import PowerMeter

_WARMUP_RUNS = 5


@dataclass(frozen=True)
class EnergyPerRun:
    """Energy of one inference.

    Attributes:
        total_mj: Energy of the window, over its runs. What a battery pays; budgets count this.
        above_idle_mj: The same without what the device takes when it does nothing; may be negative by noise
            where a network costs next to nothing.
        idle_mw: Power when it does nothing, measured right before.
        runs: Inferences in the window.
        seconds: Length of the window.
        samples: Readings of the sensor in it.
        sensor: What was read.
    """

    total_mj: float
    above_idle_mj: float
    idle_mw: float
    runs: int
    seconds: float
    samples: int
    sensor: str

    def as_dict(self) -> dict[str, float | int | str]:
        """The fields, JSON-able."""
        return asdict(self)


def energy_per_run(
    run: Callable[[], object], meter: PowerMeter, seconds: float = 3.0, idle_seconds: float = 1.0
) -> EnergyPerRun:
    """Measures the energy of one inference.

    Args:
        run: Computes once and returns when the device is done.
        meter: A sensor that is available.
        seconds: Length of the window; energy counters need some seconds.
        idle_seconds: How long the idle device is measured.

    Raises:
        DeviceError: The sensor stopped answering.
    """
    for _ in range(_WARMUP_RUNS):
        run()
    idle = meter.measure(lambda: time.sleep(idle_seconds))
    runs = 0

    def window() -> None:
        nonlocal runs
        end_s = time.perf_counter() + seconds
        while runs == 0 or time.perf_counter() < end_s:
            run()
            runs += 1

    busy = meter.measure(window)
    above_mj = busy.energy_mj - idle.power_mw * busy.seconds
    return EnergyPerRun(
        total_mj=busy.energy_mj / runs,
        above_idle_mj=above_mj / runs,
        idle_mw=idle.power_mw,
        runs=runs,
        seconds=busy.seconds,
        samples=busy.samples,
        sensor=busy.sensor,
    )

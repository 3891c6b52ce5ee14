"""Energy from the readings that a board's agent sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwtickets.power.find import NoMeterError
from hwtickets.power.measure import EnergyPerRun
from hwtickets.power.meter import Reading, integral_mj
from hwtickets.power.rails import whole_module

_FEWEST_READINGS = 3


def energy_of_samples(device: str, answer: Mapping[str, Any]) -> EnergyPerRun:
    """Energy of one inference.

    Args:
        device: Name of the board.
        answer: "rails": names; "idle" and "busy": [seconds, milliwatts of every rail (None: no answer)] of an
            idle window and of one in which a network ran back to back; "runs": how often it ran.

    Raises:
        NoMeterError: The rails are not the whole board, or hardly answered.
    """
    rails: Sequence[str] = answer["rails"]
    names = whole_module(rails)
    if not names:
        raise NoMeterError(
            device,
            f"its rails ({', '.join(sorted(rails))}) are not known to add up to the power of the board",
        )
    columns = [rails.index(name) + 1 for name in names]
    idle, busy = (_readings(answer[window], columns) for window in ("idle", "busy"))
    if min(len(idle), len(busy)) < _FEWEST_READINGS or answer["runs"] < 1:
        raise NoMeterError(device, f"its sensor {' + '.join(names)} hardly answered")
    seconds, runs = busy[-1][0], int(answer["runs"])
    busy_mj = integral_mj(busy, 0.0, seconds)
    idle_mw = integral_mj(idle, 0.0, idle[-1][0]) / idle[-1][0]
    if not busy_mj > 0:
        raise NoMeterError(device, f"its sensor {' + '.join(names)} reads no power")
    return EnergyPerRun(
        total_mj=busy_mj / runs,
        above_idle_mj=(busy_mj - idle_mw * seconds) / runs,
        idle_mw=idle_mw,
        runs=runs,
        seconds=seconds,
        samples=len(busy),
        sensor=f"INA3221 {' + '.join(names)}",
    )


def _readings(window: Sequence[Sequence[float | None]], columns: Sequence[int]) -> list[Reading]:
    """Sums over the rails; a moment at which one of them did not answer is left out."""
    found = []
    for moment in window:
        powers = [power for power in (moment[column] for column in columns) if power is not None]
        if moment[0] and len(powers) == len(columns):
            found.append((float(moment[0]), sum(powers)))
    return found

"""Energy: what a run costs in millijoules, where a sensor answers; a reason, never 0, where none does."""

from __future__ import annotations

from hwtickets.power.find import NoMeterError, find_meter
from hwtickets.power.measure import EnergyPerRun, energy_per_run
from hwtickets.power.meter import EnergySample, PowerMeter

__all__ = ["EnergyPerRun", "EnergySample", "NoMeterError", "PowerMeter", "energy_per_run", "find_meter"]

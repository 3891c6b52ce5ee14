"""Which sensor measures a device's energy."""

from __future__ import annotations

from collections.abc import Sequence

from hwtickets.errors import DeviceError
from hwtickets.power.ina3221 import Ina3221Meter
from hwtickets.power.meter import PowerMeter
from hwtickets.power.nvml import NvmlMeter
from hwtickets.power.tegrastats import TegrastatsMeter


class NoMeterError(DeviceError):
    """No sensor measures the energy of a device.

    Attributes:
        reason: Why not, without the name of the device.
    """

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"energy is not available on {device}: {reason}")
        self.reason = reason


def find_meter(device: str, gpu: bool, meters: Sequence[PowerMeter] | None = None) -> PowerMeter:
    """The first sensor that answers.

    Args:
        device: Name of the device, for the message.
        gpu: Whether the networks run on a GPU. A discrete GPU counts its own energy, which says nothing of a
            network on the CPU; the sensors of a Jetson cover the whole module.
        meters: What to try, in order; by default the sensors of this machine.

    Raises:
        NoMeterError: None answers; says why for each.
    """
    reasons = []
    for meter in _of_this_machine(gpu) if meters is None else meters:
        reason = meter.available()
        if reason is None:
            return meter
        reasons.append(f"{meter.name}: {reason}")
    raise NoMeterError(device, "; ".join(reasons))


def _of_this_machine(gpu: bool) -> list[PowerMeter]:
    boards: list[PowerMeter] = [Ina3221Meter(), TegrastatsMeter()]
    return [*boards, NvmlMeter()] if gpu else boards

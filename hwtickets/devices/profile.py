"""Device profiles: a device, the runtime it is used with, and the widths that suit it."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict

from hwtickets.devices.processor import cpu_flags, cpu_model
from hwtickets.errors import unknown


class DeviceProfile(BaseModel):
    """A device as the rest of the package sees it.

    Attributes:
        name: What the user calls it.
        description: One line for lists.
        connection: How it is reached; "local" is this machine.
        runtime: The runtime that deployed networks run in.
        precisions: Precisions that can be deployed.
        alignment: Channels that the runtime computes at once; other widths cost as much as the next multiple
            or more.
        threads: Threads of the runtime.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    connection: str = "local"
    runtime: str = "onnxruntime"
    precisions: tuple[str, ...] = ("fp32",)
    alignment: int = 8
    threads: int = 1


def list_devices() -> list[DeviceProfile]:
    """All known devices, by name."""
    return [_cpu()]


def get_device(name: str, threads: int | None = None) -> DeviceProfile:
    """The profile of a device.

    Args:
        name: One of the names of `list_devices`.
        threads: Threads of the runtime; the profile's own number if None.

    Raises:
        UsageError: No device has this name.
    """
    by_name = {device.name: device for device in list_devices()}
    if name not in by_name:
        raise unknown("device", name, by_name)
    device = by_name[name]
    return device if threads is None else device.model_copy(update={"threads": threads})


def _cpu() -> DeviceProfile:
    # ONNX Runtime blocks channels by the width of the vector unit: 16 floats with AVX-512, 8 with AVX2.
    # Measured: one channel more than a multiple costs up to 37 % in a dense convolution and 3.5 times in a
    # depthwise one.
    alignment = 16 if "avx512f" in cpu_flags() else 8
    return DeviceProfile(
        name="cpu",
        description=f"this machine: {cpu_model()}, {os.cpu_count()} cores",
        alignment=alignment,
    )

"""Which devices there are, and what they are called."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hwtickets.devices.hardware import module_facts
from hwtickets.devices.processor import cpu_flags, cpu_model
from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import unknown

if TYPE_CHECKING:
    from hwtickets.tables.shipped import ShippedDevice

_HERE = "cpu"


def list_devices() -> list[DeviceProfile]:
    """All known devices: this machine, the user's own by name, then those that only a table describes.

    Raises:
        HwticketsError: The file of a device is damaged.
    """
    from hwtickets.devices.registry import load_profile, user_device_names

    own = user_device_names()
    shipped = [device for name, device in _shipped().items() if name not in own]
    return [_cpu(), *map(load_profile, own), *shipped]


def get_device(name: str, threads: int | None = None) -> DeviceProfile:
    """The profile of a device.

    Args:
        name: One of the names of `list_devices`, or short for one; the user's own go first.
        threads: Threads of the runtime; the profile's own number if None.

    Raises:
        UsageError: No device has this name.
        HwticketsError: Its file is damaged.
    """
    from hwtickets.devices.registry import load_profile, user_device_names

    # A damaged file must not stand in the way of the other devices.
    own = user_device_names()
    if name == _HERE:
        device = _cpu()
    elif name in own:
        device = load_profile(name)
    else:
        shipped = _shipped()
        full_name = _aliases().get(name, name)
        if full_name not in shipped:
            raise unknown("device", name, [_HERE, *own, *shipped, *_aliases()])
        device = shipped[full_name]
    return device if threads is None else device.model_copy(update={"threads": threads})


def name_note(name: str, device: DeviceProfile) -> str:
    """Which device was taken for a name that is short for another one; "" for a full name.

    Args:
        name: As the user gave it.
        device: What `get_device` made of it.
    """
    if name == device.name:
        return ""
    return f"device {name}: taken as {device.name} ({device.description})"


def _aliases() -> Mapping[str, str]:
    from hwtickets.tables.shipped import ALIASES

    return ALIASES


@functools.cache
def _shipped() -> dict[str, DeviceProfile]:
    """Devices that a shipped table describes, by name."""
    from hwtickets.tables.shipped import shipped_devices

    return {device.name: _described(device) for device in shipped_devices()}


def _described(device: ShippedDevice) -> DeviceProfile:
    table = device.default
    # The runtime is that of the table that comes first: what is deployed there, at batch 1.
    alike = [other for other in device.tables if (other.runtime, other.batch) == (table.runtime, 1)]
    facts = module_facts(device.title)
    origin = f"shipped table {table.key}"
    return DeviceProfile(
        name=device.name,
        description=f"{device.title}: {device.description}",
        connection="none",
        runtime=table.runtime,
        precisions=tuple(dict.fromkeys(other.precision for other in alike)),
        alignment=table.alignment,
        **{**facts, "sources": {"alignment": origin, "precisions": "shipped tables", **facts["sources"]}},
    )


def _cpu() -> DeviceProfile:
    # ONNX Runtime blocks channels by the width of the vector unit: 16 floats with AVX-512, 8 with AVX2.
    # Measured: one channel more than a multiple costs up to 37 % in a dense convolution and 3.5 times in a
    # depthwise one.
    wide = "avx512f" in cpu_flags()
    return DeviceProfile(
        name=_HERE,
        description=f"{cpu_model()}, {os.cpu_count()} cores",
        alignment=16 if wide else 8,
        sources={"alignment": f"vector unit with{'' if wide else 'out'} avx512f (/proc/cpuinfo)"},
    )

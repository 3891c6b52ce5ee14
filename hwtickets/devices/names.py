"""Which devices there are, and what they are called."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hwtickets.devices.hardware import module_facts
from hwtickets.devices.here import devices_here
from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import unknown

if TYPE_CHECKING:
    from hwtickets.tables.shipped import ShippedDevice

_HERE = "cpu"


def list_devices() -> list[DeviceProfile]:
    """All known devices: this machine, the user's own by name, then those that only a table describes.

    This machine is one device for each runtime on it: "cpu" is ONNX Runtime, the others are named after the
    processor and the runtime.

    Raises:
        HwticketsError: The file of a device is damaged.
    """
    from hwtickets.devices.registry import load_profile, user_device_names

    own = user_device_names()
    here = [device for name, device in devices_here().items() if name == _HERE or name not in own]
    shipped = [device for name, device in _shipped().items() if name not in own]
    return [*here, *map(load_profile, own), *shipped]


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
    own, here = user_device_names(), devices_here()
    if name == _HERE:
        device = here[name]
    elif name in own:
        device = load_profile(name)
    elif name in here:
        device = here[name]
    else:
        shipped = _shipped()
        full_name = _aliases().get(name, name)
        if full_name not in shipped:
            raise unknown("device", name, device_names())
        device = shipped[full_name]
    return device if threads is None else device.model_copy(update={"threads": threads})


def device_names() -> list[str]:
    """Every name that `get_device` takes; files are not read."""
    from hwtickets.devices.registry import user_device_names

    return [*devices_here(), *user_device_names(), *_shipped(), *_aliases()]


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

"""The verbs that need a device or its tables alone, not a network: they answer without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwtickets.devices import Check, DeviceProfile, get_device, list_devices
from hwtickets.devices import check_device as check_profile
from hwtickets.devices.hardware import with_sensors
from hwtickets.tables import importers, list_tables


def devices() -> list[DeviceProfile]:
    """All known devices."""
    return list_devices()


def device(name: str) -> DeviceProfile:
    """The profile of a device with the sensors that it has now; an unknown name is a usage error."""
    return with_sensors(get_device(name))


def check_device(name: str) -> list[Check]:
    """Whether a device can be measured on now, and what to do about it."""
    return check_profile(get_device(name))


def table_info(device: str) -> dict[str, Any]:
    """Every table of a device that this machine holds, and where its numbers come from; see `list_tables`."""
    profile = get_device(device)
    return {"device": profile.name, "tables": list_tables(profile)}


def import_table(
    files: Sequence[Path],
    device: str,
    runtime: str,
    precision: str,
    format: str | None,
    select: str | None,
    batch: int,
    output: Path | None,
) -> dict[str, Any]:
    """Makes a latency table of measurements that others took.

    Args:
        files: One table, several of one device, or the two files of an engine of TensorRT.
        device: Name of the device that was measured; a new name becomes a device that only tables describe.
        runtime: The runtime that it was measured with.
        precision: The precision that it was measured in.
        format: One of `importers.FORMATS`; found out from the files if None.
        select: Which device, where a file holds several.
        batch: Images at once.
        output: Folder of the table; by default one among this user's tables.

    Returns:
        What `LatencyTable.describe` says of the table, and its `folder`.
    """
    name, alignment = importers.device_of(device)
    asked = importers.Import(files, name, runtime, precision, format, select, batch, alignment)
    table = importers.import_table(asked)
    return {"folder": str(importers.keep(table, output)), **table.describe()}

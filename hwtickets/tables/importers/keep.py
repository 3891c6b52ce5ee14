"""Where an imported table is kept, and how its device gets a name that the other verbs know."""

from __future__ import annotations

from pathlib import Path

from hwtickets.devices import DeviceProfile, get_device
from hwtickets.devices.registry import checked_name, save_profile, user_device_names
from hwtickets.errors import UsageError
from hwtickets.resources import user_dir
from hwtickets.tables.store import read_device, save_table
from hwtickets.tables.table import LatencyTable

#: Channels that an unknown device is taken to compute at once, as of every device profile that says nothing.
_ALIGNMENT = 8


def device_of(name: str) -> tuple[str, int]:
    """The full name of a device, and how many channels it computes at once; 8 where that is not known."""
    profile = _known(name)
    return (profile.name, profile.alignment) if profile else (name, _ALIGNMENT)


def keep(table: LatencyTable, output: Path | None) -> Path:
    """Writes an imported table, and a profile for a device that has none.

    Args:
        table: The table.
        output: Its folder; by default one among this user's tables, named by the content of its sources.

    Returns:
        The folder.

    Raises:
        UsageError: The folder holds tables of another device.
    """
    folder = output or user_dir("tables") / f"{checked_name(table.device)}-imported" / _source(table)
    if (folder / "device.yaml").exists() and read_device(folder)["device"] != table.device:
        raise UsageError(f"{folder} holds tables of another device; choose another folder with --output")
    save_table(table, folder)
    _introduce(table)
    return folder


def _source(table: LatencyTable) -> str:
    first = table.provenance["files"][0]["sha256"]
    return f"{table.provenance['imported']}-{first[:10]}"


def _introduce(table: LatencyTable) -> None:
    """Makes the device one that tables describe; a device that can be measured stays as it is."""
    profile = _known(table.device)
    if profile is None:
        profile = DeviceProfile(
            name=table.device,
            description=f"imported {table.provenance['imported']} table",
            connection="none",
            runtime=table.runtime,
            precisions=(),
            alignment=table.alignment,
        )
    elif profile.connection != "none" or table.device not in user_device_names():
        return
    if table.precision not in profile.precisions:
        save_profile(profile.model_copy(update={"precisions": (*profile.precisions, table.precision)}))


def _known(name: str) -> DeviceProfile | None:
    try:
        return get_device(name)
    except UsageError:
        return None

"""Forgetting one of the user's own devices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwtickets.devices.here import devices_here
from hwtickets.devices.names import device_names
from hwtickets.devices.registry import profile_path, user_device_names
from hwtickets.errors import UsageError, unknown
from hwtickets.files import writing
from hwtickets.resources import user_dir


@dataclass(frozen=True)
class Removed:
    """A device that is forgotten.

    Attributes:
        path: The file that is gone.
        tables: Folders of tables that were measured on it; they stay.
    """

    path: Path
    tables: tuple[Path, ...]


def remove_device(name: str) -> Removed:
    """Deletes the profile of one of the user's own devices, damaged or not; its tables stay.

    Args:
        name: As it was added.

    Raises:
        UsageError: The user has no such device, or it comes with hwtickets.
        HwticketsError: Its file cannot be deleted.
    """
    own = user_device_names()
    if name not in own:
        if name in device_names():
            where = "is this machine" if name in devices_here() else "is described by a shipped table"
            raise UsageError(
                f"'{name}' {where} and cannot be removed; only what 'devices add' wrote can:"
                f" {', '.join(own) or 'nothing yet'}"
            )
        raise unknown("device of your own", name, own)
    path = profile_path(name)
    with writing(path):
        path.unlink()
    return Removed(path, _tables(name))


def _tables(name: str) -> tuple[Path, ...]:
    """Folders of its tables: its name, and a fingerprint or "imported" behind the last dash."""
    folders = user_dir("tables").glob(f"{name}-*")
    return tuple(sorted(folder for folder in folders if folder.name.rpartition("-")[0] == name))

"""Folders of the user's tables: how they are called, and what they hold."""

from __future__ import annotations

import re
from pathlib import Path

from hwtickets.devices import DeviceProfile
from hwtickets.resources import user_dir
from hwtickets.tables.sampling import Space, space_id
from hwtickets.tables.store import entry_name, read_device


def space_folder(space: Space) -> str:
    """Name of the folder of a space's tables: `<space>-<operators>`."""
    return f"{_words(space.name)}-{space_id(space)}"


def of_supernet(folder: Path, supernet: str) -> bool:
    """Whether a folder is of a space of this supernet, whatever its sizes."""
    return folder.name.rpartition("-")[0] == _words(supernet)


def device_folders(device: str) -> list[Path]:
    """Folders of a device's tables in all its states, imported ones included.

    Those of a device whose name begins alike (orin, orin-nano) are not opened: they may be damaged.
    """
    own = re.compile(rf"{re.escape(device)}-([0-9a-f]{{10}}|imported)")
    found = sorted(path.parent for path in user_dir("tables").glob("*/*/device.yaml"))
    return [folder for folder in found if own.fullmatch(folder.parent.name)]


def held(folder: Path, device: DeviceProfile) -> list[tuple[str, str]]:
    """Runtime and precision of a device's tables of single images in a folder.

    Raises:
        HwticketsError: The folder's description is damaged.
    """
    if not (folder / "device.yaml").exists():
        return []
    known = read_device(folder)
    if known["device"] != device.name:
        return []
    names = [entry_name(str(key), entry) for key, entry in known["tables"].items()]
    return [(runtime, precision) for runtime, precision, batch in names if batch == 1]


def _words(name: str) -> str:
    # References of modules have colons and slashes.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)

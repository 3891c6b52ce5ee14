"""The precision that is meant where none is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hwtickets.devices import DeviceProfile
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.tables.folders import device_folders, held, of_supernet, space_folder
from hwtickets.tables.sampling import Space


def precision_of_space(device: DeviceProfile, space: Space, progress: Progress) -> str:
    """The device's own precision, unless its only table of a space is of another one.

    Args:
        device: The device.
        space: The search space.
        progress: Told which precision was taken, where it is not the device's own.

    Raises:
        UsageError: There are tables of several precisions, but none of the device's own.
    """
    measured = measured_precisions(device, space)
    return _meant(device, device.table_precisions, measured, space.name, progress)


def precision_of_supernet(device: DeviceProfile, supernet: str, progress: Progress) -> str:
    """The same before the space is known: by tables of the supernet's spaces, at precisions to deploy in."""
    folders = [folder for folder in device_folders(device.name) if of_supernet(folder, supernet)]
    return _meant(device, device.precisions, _measured(device, folders), supernet, progress)


def measured_precisions(device: DeviceProfile, space: Space) -> list[str]:
    """Precisions at which there is a table of a device, in whatever state, and a space."""
    folders = [folder for folder in device_folders(device.name) if folder.name == space_folder(space)]
    return _measured(device, folders)


def _measured(device: DeviceProfile, folders: Iterable[Path]) -> list[str]:
    tables = {table for folder in folders for table in held(folder, device)}
    return [precision for precision in device.table_precisions if (device.runtime, precision) in tables]


def _meant(
    device: DeviceProfile, usable: Sequence[str], measured: Sequence[str], name: str, progress: Progress
) -> str:
    own = usable[0]
    measured = [precision for precision in measured if precision in usable]
    if not device.measurable or not measured or own in measured:
        return own
    if len(measured) > 1:
        raise UsageError(
            f"{device.name} has tables of {name} at {', '.join(measured)} and none at {own}; say which with"
            " --precision"
        )
    progress.note(f"precision {measured[0]}: {device.name} has a table of {name} at no other one")
    return measured[0]

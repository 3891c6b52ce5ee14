"""Which latency table belongs to a device and a search space, and where the user's tables are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hwtickets.devices import DeviceProfile, decisive, device_fingerprint, differences, fingerprint_id
from hwtickets.errors import DeviceError, HwticketsError, UsageError
from hwtickets.progress import Progress
from hwtickets.resources import user_dir
from hwtickets.tables.build import build_table
from hwtickets.tables.folders import device_folders, held, space_folder
from hwtickets.tables.precisions import measured_precisions
from hwtickets.tables.sampling import Space
from hwtickets.tables.shipped import load_shipped, shipped_devices
from hwtickets.tables.store import load_table
from hwtickets.tables.table import LatencyTable

_OVERRIDE = "--allow-other-fingerprint"


def table_folder(device: DeviceProfile, space: Space, precision: str = "fp32") -> Path:
    """Where this user's table of a device, as it is now, and a space belongs.

    It is `<device>-<fingerprint>/<space>-<operators>/` under $HWTICKETS_HOME, or ~/.local/share/hwtickets.
    """
    machine = fingerprint_id(device_fingerprint(device, precision))
    return user_dir("tables") / f"{device.name}-{machine}" / space_folder(space)


def find_table(device: DeviceProfile, space: Space, precision: str = "fp32") -> LatencyTable | None:
    """The user's table that was measured on exactly this device, as it is now, and space; else None.

    Raises:
        HwticketsError: The table is there but damaged.
    """
    if not device.measurable:
        return None
    folder = table_folder(device, space, precision)
    there = device.runtime in _runtimes(folder, device, precision)
    return load_table(folder, device.runtime, precision) if there else None


def table_for(
    space: Space,
    device: DeviceProfile,
    precision: str,
    progress: Progress,
    given: Path | None = None,
    other: bool = False,
) -> LatencyTable:
    """The table of a device and space; measured now where there is none, but a device to measure on.

    Args:
        space: The search space.
        device: The device.
        precision: One of the device's.
        progress: Where measuring reports.
        given: Folder of the table to be used, instead of the one that belongs to device and space.
        other: Accept a table that was measured with another fingerprint.

    Raises:
        DeviceError: There is neither a table nor a device to measure on.
        HwticketsError: The table is damaged, or its fingerprint differs and `other` is not set.
    """
    if given is not None:
        return _checked(given, device, precision, other)
    found = find_table(device, space, precision)
    if found is not None:
        return found
    if not device.measurable:
        return _only_table(device, precision)
    for folder, changed in outdated_tables(device, space, precision):
        if other:
            return load_table(folder, device.runtime, precision)
        progress.note(
            f"measuring a new table: that in {folder} is of another state of the device ({changed});"
            f" {_OVERRIDE} keeps to the old one"
        )
    return build_table(space, device, table_folder(device, space, precision), progress, precision=precision)


def existing_table(space: Space, device: DeviceProfile, precision: str, other: bool = False) -> LatencyTable:
    """The table of a device and space, never measured anew; arguments as in `table_for`.

    Raises:
        HwticketsError: There is none, or only one of another fingerprint and `other` is not set.
    """
    found = find_table(device, space, precision)
    if found is not None:
        return found
    build = (
        f"build it with: hwtickets table build --device {device.name} --supernet {space.name} --precision"
        f" {precision} and the same --input, --classes and --set as here"
    )
    for folder, changed in outdated_tables(device, space, precision):
        if other:
            return load_table(folder, device.runtime, precision)
        raise HwticketsError(
            f"the table in {folder} is of another state of {device.name} ({changed}); {build}, or use it all"
            f" the same with {_OVERRIDE}"
        )
    others = measured_precisions(device, space)
    known = f", only at {', '.join(others)}" if others else ""
    raise HwticketsError(
        f"there is no table of this supernet for {device.name} at {precision}{known}; {build}"
    )


def outdated_tables(device: DeviceProfile, space: Space, precision: str) -> Iterator[tuple[Path, str]]:
    """The user's tables of a device and space with other fingerprints than the device has now.

    Yields:
        The folder, and what differs.
    """
    now = device_fingerprint(device, precision)
    for folder in device_folders(device.name):
        if folder.name != space_folder(space) or device.runtime not in _runtimes(folder, device, precision):
            continue
        changed = differences(
            decisive(load_table(folder, device.runtime, precision).fingerprint), decisive(now)
        )
        if changed:
            yield folder, "; ".join(changed)


def _only_table(device: DeviceProfile, precision: str) -> LatencyTable:
    """The table of a device that only tables describe: an imported one, else the shipped one."""
    imported = [
        (folder, runtime)
        for folder in device_folders(device.name)
        for runtime in _runtimes(folder, device, precision)
    ]
    if len(imported) > 1:
        raise UsageError(
            f"there are several tables of {device.name} at {precision}; name one with --table:"
            f" {', '.join(f'{folder} ({runtime})' for folder, runtime in imported)}"
        )
    if imported:
        folder, runtime = imported[0]
        return load_table(folder, runtime, precision)
    if any(known.name == device.name for known in shipped_devices()):
        return load_shipped(device.name, device.runtime, precision)
    raise DeviceError(
        f"there is no latency table of {device.name} for {device.runtime} at {precision}; give one with"
        " --table FOLDER, or add a board to measure: hwtickets devices add NAME --ssh user@host"
    )


def _checked(folder: Path, device: DeviceProfile, precision: str, other: bool) -> LatencyTable:
    """A table that was named, if it was measured on the device as it is."""
    runtime, measured_with = device.runtime, _runtimes(folder, device, precision)
    if not device.measurable and runtime not in measured_with and len(measured_with) == 1:
        runtime = measured_with[0]
    table = load_table(folder, runtime, precision)
    if device.measurable:
        found, now = decisive(table.fingerprint), decisive(device_fingerprint(device, precision))
    else:
        found, now = {"device": table.device}, {"device": device.name}
    changed = differences(found, now)
    if changed and not other:
        raise HwticketsError(
            f"the table in {folder} was not measured on {device.name} as it is ({'; '.join(changed)});"
            f" use it all the same with {_OVERRIDE}, or build one: hwtickets table build"
        )
    return table


def _runtimes(folder: Path, device: DeviceProfile, precision: str) -> list[str]:
    """Runtimes of a device's tables of a precision in a folder; an import's need not be the profile's."""
    return [runtime for runtime, found in held(folder, device) if found == precision]

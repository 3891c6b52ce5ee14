"""Which latency table belongs to a device and a search space, and where the user's tables are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwtickets.devices import DeviceProfile, decisive, device_fingerprint, differences, fingerprint_id
from hwtickets.errors import DeviceError, HwticketsError, UsageError
from hwtickets.progress import Progress
from hwtickets.resources import resource_dir, user_dir
from hwtickets.tables.build import build_table
from hwtickets.tables.sampling import Space, space_id
from hwtickets.tables.shipped import load_shipped, shipped_devices
from hwtickets.tables.store import load_table, read_device, table_key
from hwtickets.tables.table import LatencyTable

_OVERRIDE = "--allow-other-fingerprint"


def table_folder(device: DeviceProfile, space: Space, precision: str = "fp32") -> Path:
    """Where this user's table of a device, as it is now, and a space belongs.

    It is `<device>-<fingerprint>/<space>-<operators>/` under $HWTICKETS_HOME, or ~/.local/share/hwtickets.
    """
    machine = fingerprint_id(device_fingerprint(device, precision))
    return user_dir("tables") / f"{device.name}-{machine}" / _space_folder(space)


def find_table(device: DeviceProfile, space: Space, precision: str = "fp32") -> LatencyTable | None:
    """The user's table that was measured on exactly this device, as it is now, and space; else None.

    Raises:
        HwticketsError: The table is there but damaged.
    """
    if not device.measurable:
        return None
    folder = table_folder(device, space, precision)
    return load_table(folder, device.runtime, precision) if _holds(folder, device, precision) else None


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
            f"measuring a new table: that in {folder} is of another state of the device ({changed})"
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
        f"build it with: hwtickets table build --device {device.name} --supernet {space.name}"
        " and the same --input, --classes and --set as here"
    )
    for folder, changed in outdated_tables(device, space, precision):
        if other:
            return load_table(folder, device.runtime, precision)
        raise HwticketsError(
            f"the table in {folder} is of another state of {device.name} ({changed}); {build}, or use it all"
            f" the same with {_OVERRIDE}"
        )
    raise HwticketsError(f"there is no table of this supernet for {device.name} at {precision}; {build}")


def outdated_tables(device: DeviceProfile, space: Space, precision: str) -> Iterator[tuple[Path, str]]:
    """The user's tables of a device and space with other fingerprints than the device has now.

    Yields:
        The folder, and what differs.
    """
    now = device_fingerprint(device, precision)
    for folder in sorted(user_dir("tables").glob(f"{device.name}-*/{_space_folder(space)}")):
        if not _holds(folder, device, precision):
            continue
        changed = differences(
            decisive(load_table(folder, device.runtime, precision).fingerprint), decisive(now)
        )
        if changed:
            yield folder, "; ".join(changed)


def _only_table(device: DeviceProfile, precision: str) -> LatencyTable:
    """The table of a device that only tables describe: an imported one, else the shipped one."""
    folders = [path.parent for path in sorted(user_dir("tables").glob(f"{device.name}-*/*/device.yaml"))]
    imported = [folder for folder in folders if _holds(folder, device, precision)]
    if len(imported) > 1:
        raise UsageError(
            f"there are several tables of {device.name} for {device.runtime} at {precision}; name one with"
            f" --table: {', '.join(map(str, imported))}"
        )
    if imported:
        return load_table(imported[0], device.runtime, precision)
    if any(known.name == device.name for known in shipped_devices()):
        return load_shipped(device.name, device.runtime, precision)
    raise DeviceError(
        f"there is no latency table of {device.name} for {device.runtime} at {precision}; give one with"
        " --table FOLDER, or add a board to measure: hwtickets devices add NAME --ssh user@host"
    )


def _checked(folder: Path, device: DeviceProfile, precision: str, other: bool) -> LatencyTable:
    """A table that was named, if it was measured on the device as it is."""
    table = load_table(folder, device.runtime, precision)
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


def _holds(folder: Path, device: DeviceProfile, precision: str) -> bool:
    if not (folder / "device.yaml").exists():
        return False
    known = read_device(folder)
    # A folder's name may begin like that of another device: orin, orin-nano.
    return known["device"] == device.name and table_key(device.runtime, precision) in known["tables"]


def _space_folder(space: Space) -> str:
    # References of modules have colons and slashes.
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', space.name)}-{space_id(space)}"


def list_tables(device: DeviceProfile) -> list[dict[str, Any]]:
    """Every table of a device, the user's before the shipped ones.

    Returns:
        What `LatencyTable.describe` says of each, its `folder`, and on this machine the `differences` between
        what it was measured on and what is there now.
    """
    listed = []
    for root in (user_dir("tables"), resource_dir("latency_tables")):
        for path in sorted(root.glob("**/device.yaml")):
            known = read_device(path.parent)
            if known["device"] != device.name:
                continue
            for key, entry in known["tables"].items():
                table = _listed(path.parent, str(key), entry if isinstance(entry, dict) else {})
                listed.append({"folder": str(path.parent), **table.describe(), **_changes(table, device)})
    return listed


def _listed(folder: Path, key: str, entry: dict[str, Any]) -> LatencyTable:
    # Tables of the first versions say it in their key only.
    runtime, _, precision = key.partition("-")
    return load_table(
        folder, entry.get("runtime", runtime), entry.get("precision", precision), entry.get("batch", 1)
    )


def _changes(table: LatencyTable, device: DeviceProfile) -> dict[str, Any]:
    # A board would have to be asked; `table check` does.
    if device.connection != "local":
        return {}
    return {"differences": differences(table.fingerprint, device_fingerprint(device, table.precision))}

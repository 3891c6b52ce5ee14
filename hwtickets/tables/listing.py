"""All tables of a device, by what their folders say of them; no row is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwtickets.devices import DeviceProfile, device_fingerprint, differences
from hwtickets.errors import HwticketsError
from hwtickets.resources import resource_dir
from hwtickets.tables.folders import device_folders
from hwtickets.tables.store import read_device, read_header
from hwtickets.tables.table import LatencyTable


def list_tables(device: DeviceProfile) -> list[dict[str, Any]]:
    """Every table of a device, the user's before the shipped ones.

    Returns:
        What `LatencyTable.describe` says of each but the kinds of its operators, its `folder`, and on this
        machine the `differences` between what it was measured on and what is there now; of a damaged one
        `folder` and `damaged`.
    """
    folders = [*device_folders(device.name), resource_dir("latency_tables") / device.name]
    return [
        {"folder": str(folder), **entry}
        for folder in folders
        if (folder / "device.yaml").exists()
        for entry in _listed(folder, device)
    ]


def _listed(folder: Path, device: DeviceProfile) -> Iterator[dict[str, Any]]:
    try:
        known = read_device(folder)
    except HwticketsError as error:
        yield {"damaged": str(error)}
        return
    for key, entry in known["tables"].items() if known["device"] == device.name else ():
        try:
            header = read_header(folder, known, str(key))
        except HwticketsError as error:
            yield {"damaged": str(error)}
            continue
        told = {**header.describe(), "rows": entry["rows"], **_changes(header, device)}
        yield {name: value for name, value in told.items() if name != "operators"}


def _changes(table: LatencyTable, device: DeviceProfile) -> dict[str, Any]:
    # A board would have to be asked; `table check` does.
    if device.connection != "local":
        return {}
    return {"differences": differences(table.fingerprint, device_fingerprint(device, table.precision))}

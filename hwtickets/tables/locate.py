"""Where latency tables are kept: `<device>-<fingerprint>/<space>-<operators>/`, the user's first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hwtickets.devices import DeviceProfile, device_fingerprint, differences, fingerprint_id
from hwtickets.progress import Progress
from hwtickets.resources import resource_dir
from hwtickets.tables.build import build_table
from hwtickets.tables.sampling import Space, space_id
from hwtickets.tables.store import load_table
from hwtickets.tables.table import LatencyTable


def table_folder(device: DeviceProfile, space: Space, precision: str = "fp32") -> Path:
    """Where this user's table of a device, as it is now, and a space belongs.

    The base is $HWTICKETS_HOME, or ~/.local/share/hwtickets.
    """
    return _user_tables() / _relative_folder(device, space, precision)


def find_table(device: DeviceProfile, space: Space, precision: str = "fp32") -> LatencyTable | None:
    """The table measured on exactly this device and space: the user's, else a shipped one, else None.

    Raises:
        HwticketsError: The table is there but damaged.
    """
    shipped = resource_dir("latency_tables") / _relative_folder(device, space, precision)
    for folder in (table_folder(device, space, precision), shipped):
        if (folder / "device.yaml").exists():
            return load_table(folder, device.runtime, precision)
    return None


def table_for(space: Space, device: DeviceProfile, precision: str, progress: Progress) -> LatencyTable:
    """The table of a device and space; measured now, into the user's folder, where there is none."""
    found = find_table(device, space, precision)
    if found is not None:
        return found
    return build_table(space, device, table_folder(device, space, precision), progress, precision=precision)


def _user_tables() -> Path:
    home = os.environ.get("HWTICKETS_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share" / "hwtickets") / "tables"


def _relative_folder(device: DeviceProfile, space: Space, precision: str) -> Path:
    machine = fingerprint_id(device_fingerprint(device, precision))
    return Path(f"{device.name}-{machine}") / f"{space.name}-{space_id(space)}"


def list_tables(device: DeviceProfile, precision: str) -> list[dict[str, Any]]:
    """Every table of a device and precision, the user's before the shipped ones.

    Returns:
        For each its folder, whether it was measured on a device like this one (`differences` names what is
        not the same), how it was made and its stated error.
    """
    now = device_fingerprint(device, precision)
    listed = []
    for root in (_user_tables(), resource_dir("latency_tables")):
        for path in sorted(root.glob(f"**/{device.runtime}-{precision}.csv")):
            table = load_table(path.parent, device.runtime, precision)
            if table.device == device.name:
                listed.append(
                    {
                        "folder": str(path.parent),
                        "rows": len(table.rows),
                        "differences": differences(table.fingerprint, now),
                        "fingerprint": dict(table.fingerprint),
                        "provenance": dict(table.provenance),
                        "error": dict(table.error),
                    }
                )
    return listed

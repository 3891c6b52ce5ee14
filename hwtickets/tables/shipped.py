"""The tables that ship with the package: devices at which nobody needs to stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwtickets.errors import HwticketsError, UsageError, unknown
from hwtickets.resources import resource_dir
from hwtickets.tables.store import load_table, read_device
from hwtickets.tables.table import LatencyTable

#: Short names. The AGX Xavier stands for the Jetsons: of all of them its TensorRT fp16 profile rests on the
#: most networks, those of depthwise convolutions included.
ALIASES: Mapping[str, str] = {"jetson": "jetson-agx-xavier"}


@dataclass(frozen=True)
class ShippedTable:
    """One table of a device.

    Attributes:
        key: Its name in the folder, e.g. "tensorrt-fp16".
        runtime: What it was measured with.
        precision: What it was measured at.
        batch: Images at once.
        kind: "measured" or "calibrated analytic".
        operators: Whether it holds or was fitted to single operators ("operators"), or whole blocks only
            ("blocks").
        rows: How many.
        alignment: Channels that the runtime computes at once.
        error: Errors on whole networks that it has not seen, where they were measured.
    """

    key: str
    runtime: str
    precision: str
    batch: int
    kind: str
    operators: str
    rows: int
    alignment: int
    error: Mapping[str, float]


@dataclass(frozen=True)
class ShippedDevice:
    """A device with tables.

    Attributes:
        name: e.g. "jetson-orin-nano".
        title: Its maker's name for it.
        description: One line: what the numbers are.
        tables: The one that is meant where nothing else is asked for comes first.
        folder: Where they are.
    """

    name: str
    title: str
    description: str
    tables: tuple[ShippedTable, ...]
    folder: Path

    @property
    def default(self) -> ShippedTable:
        """The table that is meant where nothing else is asked for."""
        return self.tables[0]


def shipped_devices() -> list[ShippedDevice]:
    """All of them, by name.

    Raises:
        HwticketsError: A description is damaged: the installation is.
    """
    return [_device(file.parent) for file in _descriptions()]


def shipped_device(name: str) -> ShippedDevice:
    """The device of a name or of a short name.

    Raises:
        UsageError: No table ships for it.
    """
    folders = {file.parent.name: file.parent for file in _descriptions()}
    full_name = ALIASES.get(name, name)
    if full_name not in folders:
        raise unknown("device", name, [*folders, *ALIASES], " among those with a shipped table")
    return _device(folders[full_name])


def load_shipped(
    name: str, runtime: str | None = None, precision: str | None = None, batch: int = 1
) -> LatencyTable:
    """A shipped table.

    Args:
        name: Of the device, or short for it.
        runtime: By default that of the first table that fits the rest.
        precision: Likewise.
        batch: Images at once.

    Raises:
        UsageError: There is no such table; the message lists those that there are.
    """
    device = shipped_device(name)
    for table in device.tables:
        if table.batch == batch and runtime in (None, table.runtime) and precision in (None, table.precision):
            return load_table(device.folder, table.runtime, table.precision, batch)
    asked = "-".join(part for part in (runtime, precision, f"batch {batch}") if part)
    raise UsageError(
        f"no table '{asked}' ships for {device.name}, only {', '.join(table.key for table in device.tables)}"
    )


def _descriptions() -> list[Path]:
    return sorted(resource_dir("latency_tables").glob("*/device.yaml"))


def _device(folder: Path) -> ShippedDevice:
    known = read_device(folder)
    try:
        tables = [_table(key, entry) for key, entry in known["tables"].items()]
        tables.sort(key=lambda table: table.key != known["default"])
        return ShippedDevice(known["device"], known["title"], known["description"], tuple(tables), folder)
    except (KeyError, TypeError, AttributeError) as error:
        raise HwticketsError(
            f"{folder / 'device.yaml'} is damaged ({error}); install the package again"
        ) from error


def _table(key: str, entry: dict[str, Any]) -> ShippedTable:
    provenance = entry["provenance"]
    return ShippedTable(
        key=key,
        runtime=entry["runtime"],
        precision=entry["precision"],
        batch=entry["batch"],
        kind=provenance["kind"],
        operators=provenance["operators"],
        rows=entry["rows"],
        alignment=entry["alignment"],
        error=entry["error"],
    )

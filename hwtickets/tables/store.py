"""Latency tables as files: a folder with `device.yaml` and a CSV for each runtime, precision and batch."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from hwtickets.errors import HwticketsError
from hwtickets.files import read_text, reading, write_bytes, write_text
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.entries import check_entry
from hwtickets.tables.roofline import Roofline
from hwtickets.tables.rows import RowError, read_rows, write_rows
from hwtickets.tables.table import Calibration, LatencyTable, Row

_WHAT = "latency table"
#: The safe loader of C, where PyYAML was built with it: ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_AGAIN = "build the table again"
#: A table of a million rows stays below; more is damage.
_MOST_BYTES = 2**28


def table_key(runtime: str, precision: str, batch: int = 1) -> str:
    """What a table is called in its folder, e.g. "onnxruntime-fp32", "tensorrt-int8-b32"."""
    return f"{runtime}-{precision}" + (f"-b{batch}" if batch != 1 else "")


def save_table(table: LatencyTable, folder: Path, packed: bool = False) -> None:
    """Writes a table; others in the folder stay.

    Args:
        table: A table without rows gets no CSV.
        folder: Where to; it is made if it is not there.
        packed: Pack the CSV with gzip.
    """
    key = table_key(table.runtime, table.precision, table.batch)
    content = write_rows(table.rows).encode() if table.rows else b""
    for suffix in (".csv", ".csv.gz"):
        (folder / f"{key}{suffix}").unlink(missing_ok=True)
    if content:
        # Without a time in it the same rows are the same file.
        data = gzip.compress(content, mtime=0) if packed else content
        write_bytes(folder / (f"{key}.csv.gz" if packed else f"{key}.csv"), data)
    device_file = folder / "device.yaml"
    known: dict[str, Any] = {"device": table.device, "tables": {}}
    # What is damaged cannot be kept, and building again is the advice that was given.
    with contextlib.suppress(HwticketsError):
        known = read_device(folder)
    entry = {
        "runtime": table.runtime,
        "precision": table.precision,
        "batch": table.batch,
        "alignment": table.alignment,
        "rows": len(table.rows),
        "fingerprint": dict(table.fingerprint),
        "calibration": asdict(table.calibration),
        **({"roofline": table.roofline.as_dict()} if table.roofline else {}),
        "error": dict(table.error),
        "provenance": dict(table.provenance),
    }
    known["device"] = table.device
    # The digest comes first: a file without its end still has it.
    known["tables"][key] = {"sha256": _digest(table.device, entry, content), **entry}
    write_text(device_file, yaml.safe_dump(known, sort_keys=False, allow_unicode=True, width=110))


def load_table(folder: Path, runtime: str, precision: str, batch: int = 1) -> LatencyTable:
    """Reads a table.

    Raises:
        HwticketsError: Missing or damaged, with the file and the line.
    """
    known = read_device(folder)
    key = table_key(runtime, precision, batch)
    if key not in known["tables"]:
        raise HwticketsError(
            f"{folder} holds no table for {runtime} at {precision}{f', batch {batch}' if batch != 1 else ''},"
            f" only {', '.join(map(str, known['tables']))}"
        )
    entry = known["tables"][key]
    header = read_header(folder, known, key)
    path, content = _content(folder, key, entry["rows"])
    rows = _rows(path, content, entry["rows"])
    if "sha256" in entry and entry["sha256"] != _digest(known["device"], entry, content):
        raise HwticketsError(
            f"{path} or its entry in device.yaml is not what was written; {_AGAIN}, or remove the line"
            " sha256 of this table from device.yaml if the change is meant"
        )
    return replace(header, rows=rows)


def read_header(folder: Path, known: Mapping[str, Any], key: str) -> LatencyTable:
    """A table without its rows.

    Args:
        folder: Where it is.
        known: What `read_device` gives of it.
        key: Of the table.

    Raises:
        HwticketsError: Its entry is damaged.
    """
    entry = known["tables"][key]
    try:
        check_entry(entry)
        runtime, precision, batch = entry_name(key, entry)
        if table_key(runtime, precision, batch) != key:
            raise ValueError(f"it says that it is {table_key(runtime, precision, batch):.60}")
        return LatencyTable(
            device=known["device"],
            runtime=runtime,
            precision=precision,
            batch=batch,
            alignment=entry["alignment"],
            fingerprint=entry["fingerprint"],
            rows={},
            calibration=Calibration(**entry["calibration"]),
            error=entry["error"],
            provenance=entry["provenance"],
            roofline=Roofline.from_dict(entry["roofline"]) if "roofline" in entry else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HwticketsError(
            f"{folder / 'device.yaml'} is damaged in {key} ({error!s:.200}); {_AGAIN}"
        ) from error


def entry_name(key: str, entry: Any) -> tuple[str, str, int]:
    """Runtime, precision and batch of a table in its folder's description."""
    # Tables of the first versions say it in their key only.
    runtime, _, precision = key.partition("-")
    known = entry if isinstance(entry, dict) else {}
    names = str(known.get("runtime", runtime)), str(known.get("precision", precision))
    return (*names, known.get("batch", 1))


def read_device(folder: Path) -> dict[str, Any]:
    """The content of a folder's `device.yaml`; "device" is a text and "tables" a dict.

    Raises:
        HwticketsError: It is missing or damaged.
    """
    path = folder / "device.yaml"
    try:
        known = yaml.load(read_text(path, _WHAT), Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise HwticketsError(f"{path} is damaged ({reason:.300}); {_AGAIN}") from error
    if not isinstance(known, dict) or not isinstance(known.get("tables"), dict):
        raise HwticketsError(f"{path} is damaged (no list of tables); {_AGAIN}")
    if not isinstance(known.get("device"), str):
        raise HwticketsError(f"{path} is damaged (no device); {_AGAIN}")
    return known


def _content(folder: Path, key: str, rows: int) -> tuple[Path, bytes]:
    """The CSV of a table, unpacked, and where it is; nothing for a table without rows."""
    plain, packed = folder / f"{key}.csv", folder / f"{key}.csv.gz"
    if rows == 0 and not plain.exists() and not packed.exists():
        return folder / "device.yaml", b""
    path = packed if packed.exists() and not plain.exists() else plain
    with reading(path, _WHAT):
        data = path.read_bytes()
    return path, _unpacked(path, data) if path == packed else data


def _unpacked(path: Path, data: bytes) -> bytes:
    try:
        unpack = zlib.decompressobj(wbits=31)
        content = unpack.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        raise HwticketsError(f"{path} is damaged ({error}); {_AGAIN}") from error
    if not unpack.eof or unpack.unused_data:
        raise HwticketsError(f"{path} is damaged (it ends too early or too late); {_AGAIN}")
    return content


def _rows(path: Path, content: bytes, expected: int) -> dict[OperatorSpec, Row]:
    if not content and expected == 0:
        return {}
    try:
        rows = read_rows(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise HwticketsError(f"{path}, line {line}: it is no UTF-8 text; {_AGAIN}") from error
    except RowError as error:
        raise HwticketsError(f"{path}, line {error.line}: {error}; {_AGAIN}") from error
    if len(rows) != expected:
        raise HwticketsError(f"{path} holds {len(rows)} rows instead of {expected}; {_AGAIN}")
    return rows


def _digest(device: str, entry: Mapping[str, Any], content: bytes) -> str:
    """Of everything that a table is made of: a digit that flips anywhere is noticed."""
    kept = {name: value for name, value in entry.items() if name != "sha256"}
    text = json.dumps([device, kept], sort_keys=True, default=str)
    return hashlib.sha256(text.encode() + b"\n" + content).hexdigest()

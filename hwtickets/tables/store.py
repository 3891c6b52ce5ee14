"""Latency tables as files: a folder with `device.yaml` and one CSV for each runtime and precision."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from hwtickets.errors import HwticketsError
from hwtickets.files import read_text, write_text
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.table import Calibration, LatencyTable, Row

_COLUMNS = [field.name for field in fields(OperatorSpec)] + ["latency_ms", "spread_ms", "runs", "networks"]
_WHAT = "latency table"


def save_table(table: LatencyTable, folder: Path) -> None:
    """Writes a table; tables of other runtimes and precisions in the folder stay."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for spec, row in table.rows.items():
        writer.writerow({**asdict(spec), **asdict(row)})
    write_text(folder / f"{_key(table.runtime, table.precision)}.csv", lines.getvalue())
    device_file = folder / "device.yaml"
    known = _read_yaml(device_file) if device_file.exists() else {"tables": {}}
    known["device"] = table.device
    known["tables"][_key(table.runtime, table.precision)] = {
        "batch": table.batch,
        "alignment": table.alignment,
        "rows": len(table.rows),
        "fingerprint": dict(table.fingerprint),
        "calibration": asdict(table.calibration),
        "error": dict(table.error),
        "provenance": dict(table.provenance),
    }
    write_text(device_file, yaml.safe_dump(known, sort_keys=False, allow_unicode=True))


def load_table(folder: Path, runtime: str, precision: str) -> LatencyTable:
    """Reads a table.

    Raises:
        HwticketsError: Missing or damaged, with the file and the line.
    """
    known = _read_yaml(folder / "device.yaml")
    key = _key(runtime, precision)
    path = folder / f"{key}.csv"
    if key not in known["tables"]:
        raise HwticketsError(
            f"{folder} holds no table for {runtime} at {precision}, only {', '.join(known['tables'])}"
        )
    entry = known["tables"][key]
    rows = _read_rows(path)
    try:
        if entry["rows"] != len(rows):
            raise HwticketsError(
                f"{path} holds {len(rows)} rows instead of {entry['rows']}; build the table again"
            )
        return LatencyTable(
            device=known["device"],
            runtime=runtime,
            precision=precision,
            batch=entry["batch"],
            alignment=entry["alignment"],
            fingerprint=entry["fingerprint"],
            rows=rows,
            calibration=Calibration(**entry["calibration"]),
            error=entry["error"],
            provenance=entry["provenance"],
        )
    except (KeyError, TypeError) as error:
        raise HwticketsError(
            f"{folder / 'device.yaml'} is damaged ({error}); build the table again"
        ) from error


def _key(runtime: str, precision: str) -> str:
    return f"{runtime}-{precision}"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        known = yaml.safe_load(read_text(path, _WHAT))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise HwticketsError(f"{path} is damaged ({reason}); build the table again") from error
    if not isinstance(known, dict) or not isinstance(known.get("tables"), dict):
        raise HwticketsError(f"{path} is damaged (no list of tables); build the table again")
    return known


def _read_rows(path: Path) -> dict[OperatorSpec, Row]:
    reader = csv.DictReader(io.StringIO(read_text(path, _WHAT)), strict=True)
    rows: dict[OperatorSpec, Row] = {}
    try:
        if reader.fieldnames != _COLUMNS:
            raise ValueError(f"the columns are not {','.join(_COLUMNS)}")
        for cells in reader:
            spec, row = _parsed(cells)
            if spec in rows:
                raise ValueError("the operator is there twice")
            rows[spec] = row
    except (ValueError, TypeError, csv.Error) as error:
        raise HwticketsError(f"{path}, line {reader.line_num}: {error}; build the table again") from error
    return rows


def _parsed(cells: dict[str, str]) -> tuple[OperatorSpec, Row]:
    residual = {"True": True, "False": False}.get(cells["residual"])
    if residual is None:
        raise ValueError(f"residual is '{cells['residual']}', not True or False")
    counts = {
        name: _count(cells, name)
        for name in ("c_in", "c_out", "kernel", "stride", "groups", "height", "width")
    }
    spec = OperatorSpec(kind=cells["kind"], activation=cells["activation"], residual=residual, **counts)
    row = Row(
        _milliseconds(cells, "latency_ms"),
        _milliseconds(cells, "spread_ms"),
        _count(cells, "runs"),
        _count(cells, "networks"),
    )
    return spec, row


def _count(cells: dict[str, str], name: str) -> int:
    value = int(cells[name])
    if value < 1:
        raise ValueError(f"{name} is {value}, not positive")
    return value


def _milliseconds(cells: dict[str, str], name: str) -> float:
    value = float(cells[name])
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {cells[name]}, not a number of milliseconds")
    return value

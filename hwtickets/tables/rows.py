"""Rows of a latency table as CSV text: one operator a line, strict on the way in."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from typing import Any

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.table import Row

_SPEC = {field.name: field for field in fields(OperatorSpec)}
_ROW = {field.name: field for field in fields(Row)}
_COLUMNS = {**_SPEC, **_ROW}
_REQUIRED = [name for name, column in _COLUMNS.items() if column.default is MISSING]
#: What a column without a unit in its name was probably meant to be.
_UNITS = {"latency": "latency_ms", "spread": "spread_ms", "energy": "energy_mj"}
_COUNT = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class RowError(ValueError):
    """A line that cannot be a row.

    Attributes:
        line: Its number in the text, the header being 1.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def write_rows(rows: Mapping[OperatorSpec, Row]) -> str:
    """The text of rows; columns in which every row has the default are left out."""
    entries = [{**asdict(spec), **asdict(row)} for spec, row in rows.items()]
    columns = [
        name
        for name, column in _COLUMNS.items()
        if name in _REQUIRED or any(entry[name] != column.default for entry in entries)
    ]
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    return lines.getvalue()


def read_rows(text: str) -> dict[OperatorSpec, Row]:
    """The rows of a text.

    Raises:
        RowError: A column is unknown, missing or without unit; a cell is missing, NaN, negative, or no
            number; an operator is there twice.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: dict[OperatorSpec, Row] = {}
    try:
        columns = next(reader, [])
        _check_columns(columns)
        for cells in reader:
            spec, row = _parsed(columns, cells)
            if spec in rows:
                raise ValueError("the operator is there twice")
            rows[spec] = row
    except (ValueError, csv.Error) as error:
        raise RowError(max(1, reader.line_num), str(error)) from error
    return rows


def _check_columns(columns: list[str]) -> None:
    for name in columns:
        if name in _UNITS:
            raise ValueError(f"the column '{name}' has no unit; it is called {_UNITS[name]}")
        if name not in _COLUMNS:
            raise ValueError(f"the column '{name:.40}' is unknown; known are {', '.join(_COLUMNS)}")
    missing = [name for name in _REQUIRED if name not in columns]
    if missing or len(set(columns)) < len(columns):
        raise ValueError(f"the column {missing[0]} is missing" if missing else "a column is there twice")


def _parsed(columns: list[str], cells: list[str]) -> tuple[OperatorSpec, Row]:
    if len(cells) != len(columns):
        raise ValueError(f"it has {len(cells)} cells instead of {len(columns)}")
    values = {name: _value(_COLUMNS[name], cell) for name, cell in zip(columns, cells, strict=True)}
    spec = OperatorSpec(**{name: value for name, value in values.items() if name in _SPEC})
    return spec, Row(**{name: value for name, value in values.items() if name in _ROW})


def _value(column: Field[Any], cell: str) -> Any:
    kind = str(column.type)
    if kind == "bool":
        return _flag(column.name, cell)
    if kind == "int":
        return _count(column, cell)
    if kind == "str":
        return _word(column.name, cell)
    return None if cell == "" and "None" in kind else _measure(column.name, cell)


def _flag(name: str, cell: str) -> bool:
    if cell not in ("True", "False"):
        raise ValueError(f"{name} is '{cell:.40}', not True or False")
    return cell == "True"


def _word(name: str, cell: str) -> str:
    if not _WORD.fullmatch(cell):
        raise ValueError(f"{name} is '{cell:.40}', not a word")
    return cell


def _count(column: Field[Any], cell: str) -> int:
    least = 0 if column.default == 0 else 1
    if not _COUNT.fullmatch(cell) or int(cell) < least:
        raise ValueError(f"{column.name} is {cell:.40}, not a count from {least} on")
    return int(cell)


def _measure(name: str, cell: str) -> float:
    value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not (math.isfinite(value) and value >= 0):
        unit = "millijoules" if name.endswith("_mj") else "milliseconds"
        raise ValueError(f"{name} is {cell:.40}, not a number of {unit}")
    return value

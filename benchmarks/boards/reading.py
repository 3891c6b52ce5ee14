"""CSV files of measurements: found beside each other, checked, every damage one line with its place."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.files import read_text

#: Some sources write this where they have no measurement.
_SENTINEL = -1.0
#: Folders below a data folder that hold descriptions of networks.
_PARTS = ("", "networks", "ncnn")


@dataclass(frozen=True)
class Row:
    """One line of a CSV file.

    Attributes:
        file: Where it is from.
        line: Its number, from 1.
        cells: Texts by column.
    """

    file: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """What a column says; it must say something."""
        if not self.cells[column]:
            raise self.wrong(column, "is empty")
        return self.cells[column]

    def number(self, column: str) -> float:
        """A finite number."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(column, f"'{text}' is no number")
        return value

    def latency_ms(self, column: str) -> float:
        """Milliseconds, positive; NaN where nothing was measured."""
        if not self.cells[column] or self.number(column) == _SENTINEL:
            return math.nan
        value = self.number(column)
        if value <= 0:
            raise self.wrong(column, f"{value:g} ms is no latency")
        return value

    def wrong(self, column: str, what: str) -> HwticketsError:
        """The error for one of its cells, to be raised by the caller."""
        return HwticketsError(f"{self.file}:{self.line}: column {column}: {what}")


@dataclass(frozen=True)
class Folders:
    """Where measurements and descriptions lie.

    Attributes:
        fit: Measurements to learn from.
        test: Measurements to predict.
        data: A further folder with descriptions, e.g. from the environment.
        notes: What was left out and why; grows while reading.
    """

    fit: Path
    test: Path
    data: Path | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, fit: Path, test: Path, data: Path | None) -> Folders:
        """The folders of a command; `data` is HWTICKETS_DATA if it is not given.

        Raises:
            UsageError: One is not a folder.
        """
        named = os.environ.get("HWTICKETS_DATA")
        folders = cls(fit, test, data or (Path(named) if named else None))
        for folder in (fit, test, *([folders.data] if folders.data else [])):
            if not folder.is_dir():
                raise UsageError(f"{folder} is no folder; it should hold CSV files such as nb201_edge.csv")
        return folders

    def both(self, name: str, columns: Sequence[str]) -> tuple[list[Row], list[Row]] | None:
        """The rows to learn from and to predict; None, with a note, if either side has no such file."""
        missing = [folder for folder in (self.fit, self.test) if not (folder / name).is_file()]
        if missing:
            self.notes.append(f"{name}: skipped, not in {' and '.join(map(str, missing))}")
            return None
        return read_rows(self.fit / name, columns), read_rows(self.test / name, columns)

    def description(self, name: str, columns: Sequence[str], of: str) -> list[Row] | None:
        """A file that describes networks, wherever it lies; None, with a note, if it is nowhere."""
        places = [self.test, self.fit, self.test.parent, self.fit.parent, *([self.data] if self.data else [])]
        for place in places:
            for part in _PARTS:
                if (place / part / name).is_file():
                    return read_rows(place / part / name, columns)
        self.notes.append(f"{of}: skipped, {name} is in none of {', '.join(map(str, dict.fromkeys(places)))}")
        return None


def read_rows(file: Path, columns: Sequence[str]) -> list[Row]:
    """All lines of a CSV file.

    Raises:
        HwticketsError: It cannot be read, has not these columns, or a line has more or fewer cells.
    """
    lines = csv.reader(read_text(file, "table of measurements").splitlines())
    header = next(lines, [])
    if len(set(header)) < len(header):
        raise HwticketsError(f"{file}:1: a column is there twice")
    missing = [column for column in columns if column not in header]
    if missing:
        raise HwticketsError(f"{file}:1: there is no column {', '.join(missing)}")
    rows = []
    try:
        for cells in lines:
            if len(cells) != len(header):
                raise HwticketsError(
                    f"{file}:{lines.line_num}: {len(cells)} cells, the header has {len(header)}"
                )
            rows.append(Row(file, lines.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise HwticketsError(f"{file}:{lines.line_num}: {error}") from error
    return rows


def unique(rows: Iterable[Row], *key: str) -> dict[tuple[str, ...], Row]:
    """Rows by some of their columns; of a row that is there twice the first counts."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        found.setdefault(tuple(row.text(column) for column in key), row)
    return found


def by_device(
    both: tuple[Sequence[Row], Sequence[Row]],
    device: Sequence[str],
    network: str,
    folders: Folders,
    file: str,
) -> dict[tuple[str, ...], tuple[list[Row], list[Row]]]:
    """Rows of both sides for each device that both have; a network counts once.

    Args:
        both: Rows to learn from and to predict.
        device: Columns that name a device.
        network: Column that names a network.
        folders: Gets a note for each device that only one side has.
        file: What the rows are from.
    """
    sides: list[dict[tuple[str, ...], list[Row]]] = [{}, {}]
    for found, rows in zip(sides, both, strict=True):
        for key, row in unique(rows, *device, network).items():
            found.setdefault(key[:-1], []).append(row)
    for key in sorted(sides[0].keys() ^ sides[1].keys()):
        folders.notes.append(f"{file}: {' '.join(key)} skipped, only one side has it")
    return {key: (rows, sides[1][key]) for key, rows in sides[0].items() if key in sides[1]}


def latency_columns(rows: Sequence[Row]) -> list[str]:
    """Columns that hold milliseconds."""
    return [column for column in (rows[0].cells if rows else ()) if column.endswith("_ms")]

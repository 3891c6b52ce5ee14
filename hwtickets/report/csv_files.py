"""Tables as CSV: one row a thing, units in the titles, empty where nothing was measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from hwtickets.files import write_text


def write_csv(path: Path, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Writes a table; None becomes an empty cell, numbers keep all their digits.

    Args:
        path: The file.
        titles: Of the columns.
        rows: As many values each.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path

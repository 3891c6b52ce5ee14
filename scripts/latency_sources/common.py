"""What all sources share: reading CSVs, saying where numbers are from, and how well rows are generalised."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.table import LatencyTable, Row

CREATED_BY = "python scripts/make_latency_tables.py --data DIR"
#: Tables of more rows are checked on this many of them, smaller ones on all.
_CHECKED_ROWS = 1000
_FOLDS = 10


@dataclass(frozen=True)
class Repository:
    """A public repository that numbers were taken from.

    Attributes:
        name: owner/name on GitHub.
        commit: Abbreviated.
        licence: SPDX identifier, with what there is to add.
        texts: Files in the data's folder `licenses`.
    """

    name: str
    commit: str
    licence: str
    texts: tuple[str, ...]

    def as_dict(self, file: Path) -> dict[str, str]:
        """What a table says of it; `file` holds the numbers that were taken."""
        return {
            "repository": self.name,
            "commit": self.commit,
            "url": f"https://github.com/{self.name}/tree/{self.commit}",
            "licence": self.licence,
            "file": file.name,
            "file_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }


@dataclass(frozen=True)
class Made:
    """A table, whether to pack it, and the licence texts that go with it."""

    table: LatencyTable
    texts: tuple[str, ...]
    packed: bool = False


@dataclass(frozen=True)
class Device:
    """A device and its tables.

    Attributes:
        name: Of its folder.
        title: Its maker's name for it.
        description: One line: what the numbers are.
        default: Key of the table that is meant where nothing else is asked for.
        tables: All of them.
    """

    name: str
    title: str
    description: str
    default: str
    tables: Sequence[Made]


def read_csv(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV with a header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def provenance(
    kind: str, operators: str, sources: Iterable[Mapping[str, str]], method: str, defects: Sequence[str]
) -> dict[str, Any]:
    """What a shipped table says of itself."""
    return {
        "kind": kind,
        "operators": operators,
        "method": method,
        "source": [dict(source) for source in sources],
        "defects": list(defects),
        "created_by": CREATED_BY,
    }


def with_row_error(table: LatencyTable) -> LatencyTable:
    """The table with the error of its look-up: each tenth of the rows predicted from the others.

    Of a large table only a part of the first tenth is checked.
    """
    specs = list(table.rows)
    order = [specs[index] for index in np.random.default_rng(0).permutation(len(specs))]
    parts = [order[start::_FOLDS] for start in range(_FOLDS)] if len(order) <= _CHECKED_ROWS else []
    errors = np.concatenate([_held_out(table, part) for part in parts or [order[:_CHECKED_ROWS]]])
    found = {
        "held_out_rows": len(errors),
        "rows_median_error": _rounded(np.median(errors)),
        "rows_mean_error": _rounded(errors.mean()),
        "rows_within_10": _rounded((errors <= 0.1).mean()),
    }
    return replace(table, error={**table.error, **found})


def _held_out(table: LatencyTable, specs: Sequence[OperatorSpec]) -> np.ndarray:
    """Errors of the look-up, as shares, of some rows by the others."""
    hidden = set(specs)
    rest = replace(table, rows={spec: row for spec, row in table.rows.items() if spec not in hidden})
    predicted_ms = np.array([answer.ms for answer in rest.lookup_many(specs)])
    return np.abs(predicted_ms / np.array([table.rows[spec].latency_ms for spec in specs]) - 1)


def merged(found: Mapping[OperatorSpec, Sequence[tuple[float, float, int]]]) -> dict[OperatorSpec, Row]:
    """One row an operator from (mean in ms, standard error in ms, runs) in several places."""
    rows = {}
    for spec, entries in found.items():
        runs = sum(entry[2] for entry in entries)
        mean_ms = sum(entry[0] * entry[2] for entry in entries) / runs
        stated_ms = sum((entry[1] * entry[2] / runs) ** 2 for entry in entries) ** 0.5
        scatter_ms = np.std([entry[0] for entry in entries], ddof=1) if len(entries) > 1 else 0.0
        spread_ms = max(stated_ms, float(scatter_ms) / len(entries) ** 0.5)
        rows[spec] = Row(_digits(mean_ms), _digits(spread_ms), runs, len(entries))
    return dict(sorted(rows.items(), key=lambda item: repr(item[0])))


def _digits(value: float) -> float:
    """Six significant digits, as the sources have."""
    return float(f"{value:.6g}")


def _rounded(value: float) -> float:
    return round(float(value), 4)

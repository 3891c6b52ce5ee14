"""Results as lines for people and as JSON for machines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from hwtickets.budgets import format_amount

# What the end of a key says about its unit, and the metric that is printed alike.
_UNITS = {"_ms": "latency", "_mj": "energy", "_bytes": "size", "macs": "macs", "params": "params"}


def print_json(value: object) -> None:
    """Prints one JSON value; NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_fields(values: Mapping[str, Any]) -> None:
    """Prints a result as `fields` shows it."""
    for line in fields(values):
        print(line)


def fields(values: Mapping[str, Any]) -> list[str]:
    """A result as aligned lines "label  value", units taken from the ends of the keys."""
    lines = list(_lines(plain(values)))
    width = max((len(label) for label, _ in lines), default=0)
    return [f"{label:<{width}}  {text}".rstrip() for label, text in lines]


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Prints texts in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def print_note(text: str) -> None:
    """Prints one line beside the result, if there is one to print."""
    if text:
        print(text, file=sys.stderr)


def plain(value: Any) -> Any:
    """A value made of what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def amount(key: str, value: Any) -> str:
    """A value in the unit that its key ends with ("p50_ms", "size_bytes"); null is "not measured"."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value) or "none"
    for end, metric in _UNITS.items():
        if key.endswith(end):
            return format_amount(metric, value)
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}".replace(",", " ")


def _lines(values: Mapping[str, Any], indent: str = "", unit: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        label = indent + _label(key)
        if isinstance(value, Mapping):
            yield label, "" if value else "none"
            # Percentiles below "latency_ms" have its unit; counts are counts everywhere.
            yield from _lines(value, indent + "  ", "_ms" if key.endswith("_ms") else "")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            listed = any(isinstance(entry, Mapping) for entry in value)
            yield label, "" if listed else ", ".join(amount(key, one) for one in value) or "none"
            yield from ((f"{indent}  -", _row(entry)) for entry in value if isinstance(entry, Mapping))
        else:
            yield label, amount(key + unit if isinstance(value, float) else key, value)


def _row(entry: Mapping[str, Any]) -> str:
    scalars = {key: value for key, value in entry.items() if not isinstance(value, (Mapping, list))}
    return ", ".join(f"{_label(key)} {amount(key, value)}" for key, value in scalars.items())


def _label(key: str) -> str:
    for end in ("_ms", "_mj", "_bytes"):
        key = key.removesuffix(end)
    return key.replace("_", " ")

"""The entry of a table in its folder's `device.yaml`: what must be there, and what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of a table.
_KEYS = (
    *("sha256", "runtime", "precision", "batch", "alignment", "rows"),
    *("fingerprint", "calibration", "roofline", "error", "provenance"),
)
#: The only error that may be negative.
_RANK = "kendall_tau"
#: Nothing in a table is as large as this.
_MOST = 1e12


def check_entry(entry: Any) -> None:
    """Refuses an entry that cannot be a table's.

    Raises:
        TypeError, ValueError: It is of another form, or holds a value that is impossible; says which.
        KeyError: Something is missing.
    """
    if not isinstance(entry, dict):
        raise TypeError("it is no table")
    unknown = [name for name in entry if name not in _KEYS]
    if unknown:
        raise ValueError(f"the key {unknown[0]!r:.40} is unknown")
    for name, least in (("batch", 1), ("alignment", 1), ("rows", 0)):
        if type(entry[name]) is not int or not least <= entry[name] < _MOST:
            raise ValueError(f"{name} is {entry[name]!r:.40}, not a count")
    for name in ("fingerprint", "calibration", "error", "provenance"):
        if not isinstance(entry[name], dict):
            raise TypeError(f"{name} is no mapping")
    _check_texts("fingerprint", entry["fingerprint"])
    _check_numbers("calibration", entry["calibration"])
    _check_numbers("error", entry["error"])


def _check_texts(what: str, values: Mapping[Any, Any]) -> None:
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"{name!r:.40} of its {what} is {value!r:.40}, not a text")


def _check_numbers(what: str, values: Mapping[Any, Any]) -> None:
    for name, value in values.items():
        least = -1 if str(name).endswith(_RANK) else 0
        if type(value) not in (int, float) or not least <= value < _MOST:
            raise ValueError(f"{name!r:.40} of its {what} is {value!r:.40}, not a number from {least} on")

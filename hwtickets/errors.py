"""Expected failures: each is one clear line for the user and one exit code for the shell."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HwticketsError(Exception):
    """An expected failure; its text is printed as it is, without a traceback, after its label."""

    exit_code: int = 1
    label: str = "error"


class UsageError(HwticketsError):
    """The request itself is wrong: an unknown name, a bad unit, a folder that is already taken."""

    exit_code = 2


class BudgetError(HwticketsError):
    """No ticket keeps the budget, or the measured one missed it."""

    exit_code = 3


class DeviceError(HwticketsError):
    """The device cannot be reached or cannot do what is asked."""

    exit_code = 4


class NotMeasuredError(DeviceError):
    """The result is there, but predicted: there is a table of the device and no device."""

    label = "note"


class NumericsError(HwticketsError):
    """The deployed network does not compute what the trained one computes."""

    exit_code = 5


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that `given` is most likely a slip of, or None if nothing is close."""
    by_lowercase = {name.lower(): name for name in known}
    matches = get_close_matches(given.lower(), by_lowercase, n=1, cutoff=0.5)
    return by_lowercase[matches[0]] if matches else None


def unknown(kind: str, given: str, known: Iterable[str], where: str = "") -> UsageError:
    """The error for a name that is not on a list.

    Args:
        kind: What is named, e.g. "device".
        given: What the user wrote.
        known: Every name that would have been right.
        where: The place, e.g. " in a.yaml".

    Returns:
        e.g. "unknown device 'cpuu'; did you mean 'cpu'? Known: cpu." (to be raised by the caller)
    """
    names = sorted(known)
    close = nearest(given, names)
    guess = f"; did you mean '{close}'?" if close else "."
    return UsageError(f"unknown {kind} '{given}'{where}{guess} Known: {', '.join(names) or 'none'}.")

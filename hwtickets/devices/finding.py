"""What a check of a device finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        ok: Whether it is as it should be.
        detail: What was found.
        advice: What to do about it; empty where nothing is wrong.
    """

    name: str
    ok: bool
    detail: str
    advice: str = ""

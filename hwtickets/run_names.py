"""Where runs go that were given no folder."""

from __future__ import annotations

from itertools import count
from pathlib import Path

_RUNS = Path("runs")


def run_folder(name: str, resume: bool) -> Path:
    """The folder of a run that was given none: runs/NAME, runs/NAME-2, ...

    Args:
        name: What kind of run it is.
        resume: Whether the latest such run is gone on with, rather than a new one begun.
    """
    folder = latest = _RUNS / name
    for index in count(2):
        if not folder.exists():
            break
        latest, folder = folder, _RUNS / f"{name}-{index}"
    return latest if resume else folder

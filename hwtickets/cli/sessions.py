"""What surrounds the call of a verb: where results go, and what an interrupt says."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import typer

_RUNS = Path("runs")
_INTERRUPTED = 130


@contextmanager
def interruptible(again: str = "run the same command again") -> Iterator[None]:
    """Ends the process with one line on Ctrl-C; `again` says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted; {again}", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None


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


def resume_command(folder: Path) -> str:
    """How to go on with the run in `folder`."""
    # The resolved configuration goes on with the same settings, whatever verb and options began the run.
    config = shlex.quote(str(folder / "config.yaml"))
    return f"go on with: hwtickets search --config {config} --output-dir {shlex.quote(str(folder))} --resume"


def this_command(arguments: list[str]) -> str:
    """The command line of this process, as it can be typed again."""
    return shlex.join(["hwtickets", *arguments])

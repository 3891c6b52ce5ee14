"""What surrounds the call of a verb: where results go, and what an interrupt says."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

_INTERRUPTED = 130


@contextmanager
def interruptible(again: str = "run the same command again") -> Iterator[None]:
    """Ends the process with one line on Ctrl-C; `again` says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted; {again}", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None


def resume_command(folder: Path) -> str:
    """How to go on with the run in `folder`."""
    # The resolved configuration goes on with the same settings, whatever verb and options began the run.
    config = shlex.quote(str(folder / "config.yaml"))
    return f"go on with: hwtickets search --config {config} --output-dir {shlex.quote(str(folder))} --resume"


def this_command(arguments: list[str]) -> str:
    """The command line of this process, as it can be typed again."""
    return shlex.join(["hwtickets", *arguments])

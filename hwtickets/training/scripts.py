"""A user's script under torchrun: every process runs all of it, and one of them leads."""

from __future__ import annotations

import atexit
import sys
from functools import cache

from hwtickets.training.torchrun import helps, several


@cache
def assist() -> None:
    """Called before the first training of a script, when its modules and tasks are known.

    A process that helps serves the leading one from here on, and ends when that one does: the rest of the
    script is the leading one's alone. That one lets the others go at its end.
    """
    if helps():
        from hwtickets.training.worker import serve

        sys.exit(serve())
    if several():
        from hwtickets.training.processes import dismiss

        atexit.register(dismiss)

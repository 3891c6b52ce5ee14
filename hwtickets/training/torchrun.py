"""What torchrun says in the environment; asking costs nothing, not even an import of torch."""

from __future__ import annotations

import os

_NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def several() -> bool:
    """Whether this is one of several processes that train together."""
    return all(name in os.environ for name in _NEEDED) and int(os.environ["WORLD_SIZE"]) > 1


def helps() -> bool:
    """Whether this is one of several processes, and not the first."""
    return several() and int(os.environ["RANK"]) > 0

"""hwtickets: from a latency budget in milliseconds to a measured, exported network.

`hwtickets.api` holds the verbs of the command line as functions; it is imported when it is first asked for,
so that `import hwtickets` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "api"]


def __getattr__(name: str) -> Any:
    if name == "api":
        return import_module("hwtickets.api")
    raise AttributeError(f"module 'hwtickets' has no attribute '{name}'")

"""hwtickets: from a latency budget in milliseconds to a measured, exported network.

In Python: `hwtickets.SearchSpace.from_module`, `hwtickets.Task`, and `profile`, `search`, `draw`, `retrain`,
`transfer`, `export`, `verify` and `benchmark` on them; what goes wrong as expected is an `HwticketsError`.
`hwtickets.api` holds all verbs of the command line as functions. Everything is imported when it is first
asked for, so that `import hwtickets` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
#: What is found where; `search` is a room as well, which is callable.
_PLACES = {
    "BudgetError": "hwtickets.errors",
    "DeviceError": "hwtickets.errors",
    "HwticketsError": "hwtickets.errors",
    "NumericsError": "hwtickets.errors",
    "SearchSpace": "hwtickets.space.space",
    "Task": "hwtickets.tasks.assignment",
    "Ticket": "hwtickets.sparsity.ticket",
    "UsageError": "hwtickets.errors",
    "benchmark": "hwtickets.run_doors",
    "draw": "hwtickets.run_doors",
    "export": "hwtickets.run_doors",
    "profile": "hwtickets.doors",
    "retrain": "hwtickets.run_doors",
    "transfer": "hwtickets.run_doors",
    "verify": "hwtickets.run_doors",
}
_ROOMS = ("api", "search")
__all__ = [
    "BudgetError",
    "DeviceError",
    "HwticketsError",
    "NumericsError",
    "SearchSpace",
    "Task",
    "Ticket",
    "UsageError",
    "__version__",
    "api",
    "benchmark",
    "draw",
    "export",
    "profile",
    "retrain",
    "search",
    "transfer",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"hwtickets.{name}")
    if name in _PLACES:
        found = import_module(_PLACES[name])
        return getattr(found, "UserTask" if name == "Task" else name)
    raise AttributeError(f"module 'hwtickets' has no attribute '{name}'")

"""From a trained supernet to a measured ticket: strategies, schedules, the closed loop."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    # A package is its parent's attribute once anything of it is imported: hwtickets.search(...) calls it.
    def __call__(self, *args: Any, **options: Any) -> Any:
        from hwtickets.doors import search

        return search(*args, **options)


sys.modules[__name__].__class__ = _Room

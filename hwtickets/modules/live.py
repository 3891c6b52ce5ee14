"""Modules that this process holds: a network without a reference lives here alone, and its ticket says so."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from hwtickets.errors import HwticketsError

KIND = "live"
_MODULES: dict[str, nn.Module] = {}


def register(module: nn.Module) -> str:
    """Remembers a module as it is now.

    Returns:
        Its reference, "live:CLASS-HASH": the same for the same structure, so that a script that is run again
        goes on with its own run.
    """
    shapes = [(name, tuple(tensor.shape)) for name, tensor in module.state_dict().items()]
    digest = hashlib.sha256(f"{module}{shapes}".encode()).hexdigest()[:8]
    reference = f"{KIND}:{type(module).__name__}-{digest}"
    _MODULES[reference] = copy.deepcopy(module).cpu()
    return reference


def copy_of(reference: str) -> nn.Module | None:
    """A copy of the module that this process holds for a reference, if it does.

    Raises:
        HwticketsError: It is one that only another process held.
    """
    if reference in _MODULES:
        return copy.deepcopy(_MODULES[reference])
    if reference.startswith(f"{KIND}:"):
        raise HwticketsError(
            f"module {reference.partition(':')[2]} lived in another Python process; make its space here again"
            " (SearchSpace.from_module), rebuild its ticket with Ticket.module(build=...), or search with a"
            " reference such as --module mynets.small:build"
        )
    return None


@contextmanager
def provided(reference: str, build: Callable[[], nn.Module]) -> Iterator[None]:
    """Within it, the module of a reference is what `build` makes."""
    known = _MODULES.get(reference)
    _MODULES[reference] = build()
    try:
        yield
    finally:
        del _MODULES[reference]
        if known is not None:
            _MODULES[reference] = known

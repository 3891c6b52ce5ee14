"""Which parts of a module its author has frozen, by name, so that one built anew is frozen alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from hwtickets.errors import unknown


def frozen_parts(body: nn.Module) -> list[str]:
    """What does not learn (`requires_grad` is False).

    Returns:
        Names of the outermost submodules without a weight that learns, and of single frozen parameters
        outside of them, in the order of the module.
    """
    return list(_frozen(body, ""))


def freeze(body: nn.Module, names: Iterable[str]) -> None:
    """Freezes parts of a module, in place.

    Args:
        body: The module.
        names: Of submodules and parameters.

    Raises:
        UsageError: There is no such part.
    """
    parts = {**dict(body.named_parameters()), **dict(body.named_modules())}
    for name in names:
        if name not in parts:
            raise unknown("part to freeze", name, [part for part in parts if part])
        parts[name].requires_grad_(False)


def _frozen(module: nn.Module, prefix: str) -> Iterator[str]:
    for name, parameter in module.named_parameters(recurse=False):
        if not parameter.requires_grad:
            yield prefix + name
    for name, child in module.named_children():
        learns = [parameter.requires_grad for parameter in child.parameters()]
        if any(learns):
            yield from _frozen(child, f"{prefix}{name}.")
        elif learns:
            yield prefix + name

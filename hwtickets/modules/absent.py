"""Residual branches that are gone: what runs in their place, which is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hwtickets.space.units import Branch

_SUMS = ("add", "add_", "__add__", "__radd__", "__iadd__")
#: Functions after which code asks for the shape again.
_SHAPE_KEEPING = ("roll", "pad")


class Nothing:
    """The output of a branch that is gone.

    Whatever is computed of it is nothing again, and `x + nothing` is x: so the code around a branch stays as
    its author wrote it, and neither torch nor an exporter sees an operator of it.

    Args:
        shape: What code that asks for its shape is told; nothing again where that is not known.
    """

    def __init__(self, shape: Sequence[int] | None = None) -> None:
        self.shape: Any = self if shape is None else shape

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch's functions make of it."""
        name = getattr(func, "__name__", "")
        if name in _SUMS:
            return _sum(args)
        return args[0] if name in _SHAPE_KEEPING else NOTHING

    def __add__(self, other: Any) -> Any:
        return _sum((self, other))

    def _nothing(self, *args: Any, **kwargs: Any) -> Nothing:
        return NOTHING

    __radd__ = __iadd__ = __add__
    __mul__ = __rmul__ = __truediv__ = __matmul__ = __getitem__ = _nothing

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._nothing


NOTHING = Nothing()


class Absent(nn.Module):
    """A layer of a branch that is gone."""

    def forward(self, *args: Any, **kwargs: Any) -> Nothing:
        """Nothing, whatever comes in; of its shape, as most layers that code around asks about keep it."""
        shape = args[0].shape if args else None
        return NOTHING if isinstance(shape, Nothing) else Nothing(shape)


class Passing(nn.Module):
    """A module that does nothing any more, as the branch in it or before it is gone."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What comes in."""
        return _sum(args)


def take_out(model: nn.Module, branch: Branch) -> None:
    """Removes a branch from a network, in place, with its parameters and buffers; once is enough.

    Numbers that its modules keep stay readable, as some hosts ask them before they call.
    """
    for name in branch.absent:
        _become(model.get_submodule(name), Absent)
    for name in branch.passing:
        _become(model.get_submodule(name), Passing)


def _become(part: nn.Module, kind: type[nn.Module]) -> None:
    part._parameters.update(dict.fromkeys(part._parameters))
    part._buffers.update(dict.fromkeys(part._buffers))
    for known in (part._modules, part._forward_hooks, part._forward_pre_hooks):
        known.clear()
    part.__class__ = kind


def _sum(args: Any) -> Any:
    """What is left of a sum; a copy, so that nothing done to it in place reaches back."""
    left = next((one for one in args if isinstance(one, Tensor)), None)
    return NOTHING if left is None else torch.clone(left)

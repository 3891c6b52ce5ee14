"""Values of tensors that no input changes, for modules whose forward asks for one of them.

A recorded run has shapes but no data. Detectors make their grid of anchors from a buffer of strides and read
numbers out of it. Such values are computed when they are asked for, which is rare.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

#: Larger tensors are weights and masks: nobody reads numbers out of them.
_LARGEST = 4096
_VALUE = "value_before"


def keep_values(module: nn.Module, bare: nn.Module) -> None:
    """Lets small tensors of a module without data, but not its parameters, remember their values.

    Args:
        module: With data.
        bare: The same without; its copies remember them too.
    """
    for part, bare_part in zip(module.modules(), bare.modules(), strict=True):
        own = dict(_tensors_of(part))
        for name, tensor in _tensors_of(bare_part):
            if name in own and own[name].numel() <= _LARGEST and own[name].device.type != "meta":
                setattr(tensor, _VALUE, own[name].detach().cpu())


def _tensors_of(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in [*vars(part).items(), *part.named_buffers(recurse=False)]:
        if isinstance(value, Tensor):
            yield name, value


class Constants:
    """How the tensors of a run were made, so that a value can be computed of what is known."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, Any, Any, int]] = {}
        self._overwritten = False

    def note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Takes a call and what it returned."""
        for place, tensor in enumerate(tree_flatten(result)[0]):
            if isinstance(tensor, Tensor):
                self._made[id(tensor)] = (func, args, kwargs, place)

    def overwritten(self) -> None:
        """A constant, and whoever else looks at its memory, is no longer what it was: no value is known."""
        self._overwritten = True

    def value(self, tensor: Tensor) -> Tensor | None:
        """A tensor with its data; None where it is made of an input, a weight or by chance."""
        if self._overwritten:
            return None
        with _disable_current_modes():
            return self._computed(tensor)

    def _computed(self, tensor: Tensor) -> Tensor | None:
        if tensor.device.type != "meta":
            return tensor
        known: Tensor | None = getattr(tensor, _VALUE, None)
        if known is not None or id(tensor) not in self._made or tensor.numel() > _LARGEST:
            return known
        func, args, kwargs, place = self._made[id(tensor)]
        given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        values = {id(one): self._computed(one) for one in given}
        if torch.Tag.nondeterministic_seeded in func.tags or any(value is None for value in values.values()):
            return None

        def with_data(one: Any) -> Any:
            if isinstance(one, Tensor):
                return values[id(one)]
            return torch.device("cpu") if one == torch.device("meta") else one

        results = tree_flatten(func(*tree_map(with_data, args), **tree_map(with_data, kwargs)))[0]
        setattr(tensor, _VALUE, results[place])
        return self._computed(tensor)

"""Batches of a user's own examples: what they have to be."""

from __future__ import annotations

from torch import Tensor

from hwtickets.errors import UsageError

Batch = tuple[Tensor, Tensor]


class Batches:
    """Checks the batches of one split.

    Args:
        name: Of the split, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._first: tuple[int, ...] = ()

    def checked(self, batch: object) -> Batch:
        """A batch, if it is a pair of tensors with as many inputs as targets, alike in all batches.

        Raises:
            UsageError: It is something else; says what it is and what is expected.
        """
        pair = list(batch) if isinstance(batch, tuple | list) else []
        if len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
            raise _wrong(self.name, _described(batch), "a pair (inputs, targets) of tensors")
        x, targets = pair
        if not x.is_floating_point():
            kind = "floating point inputs, as the network takes them (embed numbers of words in the data set)"
            raise _wrong(self.name, f"inputs of {x.dtype}", kind)
        if x.dim() < 2 or not targets.dim() or len(x) != len(targets):
            shapes = f"inputs of shape {tuple(x.shape)} and targets of shape {tuple(targets.shape)}"
            raise _wrong(self.name, shapes, "as many inputs as targets along the first dimension")
        if not x.isfinite().all():
            raise _wrong(self.name, "inputs that are not finite", "numbers; look for NaN in the data")
        self._first = self._first or tuple(x.shape)
        if not alike(self._first, tuple(x.shape)):
            first = f"inputs like those of its first batch, {self._first}"
            raise _wrong(self.name, f"inputs of shape {tuple(x.shape)}", first)
        return x.float(), targets


def alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes of batches are of one kind: images may differ in height and width."""
    counted = 2 if len(one) == 4 else len(one)
    return len(one) == len(other) and one[1:counted] == other[1:counted]


def _wrong(name: str, found: str, expected: str) -> UsageError:
    return UsageError(f"task: the {name} data yields {found}; expected {expected}")


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {', '.join(_described(part) for part in value) or 'nothing'}"
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(map(repr, value)) or 'none'}"
    return f"a {type(value).__name__}"

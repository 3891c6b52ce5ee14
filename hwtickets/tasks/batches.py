"""Batches of a user's own examples: what they have to be."""

from __future__ import annotations

from torch import Tensor

from hwtickets.errors import UsageError
from hwtickets.structure import Structure

Batch = tuple[Tensor, Tensor]


class Batches:
    """Checks the batches of one split.

    Args:
        name: Of the split, for errors.

    Attributes:
        targets: Of the first batch, where they are several tensors; None before it, and for one tensor.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.targets: Structure | None = None
        self._first: tuple[int, ...] = ()

    def checked(self, batch: object) -> Batch:
        """A batch, if it is a pair with as many inputs as targets, alike in all batches.

        Targets in lists and dicts are joined, see `Structure.joined`.

        Raises:
            UsageError: It is something else; says what it is and what is expected.
        """
        pair = list(batch) if isinstance(batch, tuple | list) else []
        if len(pair) == 2 and isinstance(pair[1], dict | list | tuple):
            pair[1] = self._joined(pair[1])
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

    def _joined(self, targets: object) -> Tensor:
        what = f"task: targets of the {self.name} data"
        self.targets = self.targets or Structure.of(targets, what)
        return self.targets.joined(targets, what)


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

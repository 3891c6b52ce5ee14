"""Several tensors in lists and dicts as one tensor, and back: what detectors return, and their targets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hwtickets.errors import HwticketsError, UsageError

#: Way to a tensor: keys of dicts, and places in lists and tuples.
Path = tuple[str | int, ...]
#: Whole numbers of these types do not all fit into fp32.
_LONG = (torch.int32, torch.int64)


@dataclass(frozen=True)
class Part:
    """One of the tensors.

    Attributes:
        path: The way to it.
        shape: Of one example.
        type: Of its numbers, e.g. "float32".
    """

    path: Path
    shape: tuple[int, ...]
    type: str

    @property
    def name(self) -> str:
        """The path in words."""
        return ".".join(map(str, self.path))

    @property
    def size(self) -> int:
        """Numbers of one example."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Structure:
    """How tensors of a batch lie in one another.

    One tensor alone in a list or a dict is joined as it is; several become (batch, numbers), one after the
    other.

    Attributes:
        parts: The tensors, in their order.
    """

    parts: tuple[Part, ...]

    @staticmethod
    def of(value: object, what: str) -> Structure:
        """The structure of a batch.

        Args:
            value: Tensors in lists, tuples and dicts; a None among them stands for nothing.
            what: What it is, for errors.

        Raises:
            UsageError: Something in it is no tensor, or no batch.
        """
        found = list(_tensors(value, what))
        if not found:
            raise UsageError(f"{what}: there is no tensor in it")
        for path, tensor in found:
            if not tensor.dim():
                raise UsageError(f"{what}: {_name(path)} is one number; expected one for each example")
        return Structure(
            tuple(
                Part(path, tuple(tensor.shape[1:]), str(tensor.dtype).removeprefix("torch."))
                for path, tensor in found
            )
        )

    @staticmethod
    def from_json(parts: Sequence[Mapping[str, Any]] | None) -> Structure | None:
        """The structure that `as_json` described; None for None, where there is but one tensor."""
        if parts is None:
            return None
        return Structure(
            tuple(Part(tuple(part["path"]), tuple(part["shape"]), part["type"]) for part in parts)
        )

    @property
    def alone(self) -> bool:
        """Whether there is but one tensor, which is joined as it is."""
        return len(self.parts) == 1

    def as_json(self) -> list[dict[str, Any]]:
        """The parts for a file: path, shape and type each, in the order in which they are joined."""
        return [
            {"path": list(part.path), "shape": list(part.shape), "type": part.type} for part in self.parts
        ]

    def __str__(self) -> str:
        return ", ".join(f"{part.name} {'x'.join(map(str, part.shape)) or 'a number'}" for part in self.parts)

    def joined(self, value: object, what: str) -> Tensor:
        """One tensor of a batch.

        Args:
            value: As the structure has it.
            what: What it is, for errors.

        Returns:
            Shape (batch, numbers), or that of the tensor where there is one alone. Whole numbers stay exact:
            where there are any of 32 bits or more the numbers are fp64.

        Raises:
            HwticketsError: It holds other tensors, or ones of different batches.
        """
        found = dict(_tensors(value, what))
        if set(found) != {part.path for part in self.parts}:
            held = ", ".join(map(_name, found)) or "nothing"
            expected = ", ".join(part.name for part in self.parts)
            raise HwticketsError(
                f"{what}: {held}; expected {expected} as at first, in training and in evaluation alike"
            )
        tensors = [found[part.path] for part in self.parts]
        if self.alone:
            return tensors[0]
        batch = tensors[0].shape[0]
        for part, tensor in zip(self.parts, tensors, strict=True):
            if tuple(tensor.shape) != (batch, *part.shape):
                raise HwticketsError(
                    f"{what}: {part.name} has the shape {tuple(tensor.shape)}; expected"
                    f" {(batch, *part.shape)}: as many examples as the others, all of one size"
                )
        wide = any(tensor.dtype in _LONG for tensor in tensors)
        flat = [tensor.reshape(batch, part.size) for part, tensor in zip(self.parts, tensors, strict=True)]
        return torch.cat([one.to(torch.float64) for one in flat] if wide else flat, 1)

    def apart(self, joined: Tensor) -> Any:
        """What `joined` was made of: lists for lists and tuples, dicts for dicts."""
        paths = [part.path for part in self.parts]
        return _nested(list(zip(paths, self.split(joined), strict=True)))

    def split(self, joined: Tensor) -> list[Tensor]:
        """The tensors, each in its shape and type."""
        if self.alone:
            return [joined]
        pieces = joined.split([part.size for part in self.parts], 1)
        return [
            piece.reshape(len(joined), *part.shape).to(getattr(torch, part.type))
            for part, piece in zip(self.parts, pieces, strict=True)
        ]


def _tensors(value: object, what: str, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                raise UsageError(f"{what}: a dict has the key {key!r}; expected a word")
            yield from _tensors(one, what, (*path, key))
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            yield from _tensors(one, what, (*path, place))
    elif value is not None:
        raise UsageError(
            f"{what}: {_name(path)} is a {type(value).__name__}; expected tensors, in lists, tuples or dicts"
        )


def _nested(parts: Sequence[tuple[Path, Tensor]]) -> Any:
    first, tensor = parts[0]
    if not first:
        return tensor
    groups: dict[str | int, list[tuple[Path, Tensor]]] = {}
    for path, one in parts:
        groups.setdefault(path[0], []).append((path[1:], one))
    held = {key: _nested(group) for key, group in groups.items()}
    places = [key for key in held if isinstance(key, int)]
    return [held.get(place) for place in range(max(places) + 1)] if places else held


def _name(path: Path) -> str:
    return ".".join(map(str, path)) or "it"

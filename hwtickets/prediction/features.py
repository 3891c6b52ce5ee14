"""What a predictor knows of networks: work that adds up, and traits that bend the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import UsageError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Index = NDArray[Any]


@dataclass(frozen=True)
class Features:
    """Several networks of one space, in numbers.

    Attributes:
        work: What costs time and adds up, (networks, terms), never negative: operators of a kind, their
            multiply-accumulates, the bytes that they move, whether a slot holds a certain block.
        traits: What decides how far the sum is wrong, each (networks, dimensions), by name: depth, how
            operators follow each other, which one sits where. A trait is one length scale of the residual
            model.

    Raises:
        UsageError: Numbers of networks differ, a value is not finite, or work is negative.
    """

    work: Matrix
    traits: Mapping[str, Matrix]

    def __post_init__(self) -> None:
        for name, values in {"work": self.work, **self.traits}.items():
            if values.ndim != 2 or len(values) != len(self.work):
                raise UsageError(
                    f"feature '{name}' has shape {values.shape}; {len(self.work)} rows are needed"
                )
            if not np.isfinite(values).all():
                raise UsageError(f"feature '{name}' holds a value that is not finite")
        if (self.work < 0).any():
            raise UsageError("work is negative; only what costs time can be a term of it")

    def __len__(self) -> int:
        return len(self.work)

    def rows(self, index: Index) -> Features:
        """Some of the networks, by their places or by a mask."""
        return Features(self.work[index], {name: values[index] for name, values in self.traits.items()})


def columns(**values: Sequence[float] | Vector) -> dict[str, Matrix]:
    """Traits of one dimension each, by name."""
    return {name: np.asarray(value, float)[:, None] for name, value in values.items()}


def indicators(choices: Sequence[Sequence[str]], known: Sequence[str]) -> Matrix:
    """Which of the known options each slot holds.

    Args:
        choices: Option of each slot, (networks, slots).
        known: All options; one that is not among them gives zeros.

    Returns:
        (networks, slots x options), of 0 and 1.
    """
    place = {option: index for index, option in enumerate(known)}
    slots = len(choices[0]) if choices else 0
    held = np.zeros((len(choices), slots, len(known)))
    for network, options in enumerate(choices):
        for slot, option in enumerate(options):
            if option in place:
                held[network, slot, place[option]] = 1.0
    return held.reshape(len(choices), slots * len(known))

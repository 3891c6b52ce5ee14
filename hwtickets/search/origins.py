"""Which channel of the supernet every channel of a shrunk network was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.space.units import Unit
from hwtickets.training.loop import Hook

#: Ascending numbers of channels of the supernet, by unit; a unit whose branch is gone is missing.
Channels = Mapping[str, Tensor]


class Origins(Hook):
    """Remembers the original number of every channel that is left.

    Args:
        units: Units of the search space.
    """

    name = "origins"

    def __init__(self, units: Iterable[Unit]) -> None:
        self._left: dict[str, Tensor] = {unit.name: torch.arange(unit.width) for unit in units}

    def channels(self) -> dict[str, Tensor]:
        """Original numbers of the channels that are left, by unit."""
        return dict(self._left)

    def cut(self, kept: Channels, widths: Mapping[str, int]) -> None:
        """Follows a cut.

        Args:
            kept: What `keep_channels` was told to keep.
            widths: Channels by unit after it; a unit that went with its branch has none.
        """
        rest = narrowed(self._left, kept)
        self._left = {name: numbers for name, numbers in rest.items() if widths[name]}

    def tensors(self) -> dict[str, Tensor]:
        """The numbers."""
        return self._left

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Goes on from saved numbers."""
        self._left = dict(tensors)


def narrowed(channels: Channels, kept: Channels) -> dict[str, Tensor]:
    """The original numbers of channels that were kept of a network.

    Args:
        channels: Original numbers of the network's channels.
        kept: Which of those were kept, counted in that network; a unit that is missing stayed whole.
    """
    rest = {name: numbers[kept[name]] if name in kept else numbers for name, numbers in channels.items()}
    return {name: numbers for name, numbers in rest.items() if len(numbers)}


def as_text(channels: Channels) -> dict[str, str]:
    """Channels by unit as "0-7,12,14-15", for a ticket's provenance."""
    return {name: ",".join(map(_range, _runs(numbers.tolist()))) for name, numbers in channels.items()}


def from_text(texts: Mapping[str, str]) -> dict[str, Tensor]:
    """What `as_text` was given; another text is an error."""
    return {name: torch.tensor(_numbers(name, text)) for name, text in texts.items()}


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _range(run: tuple[int, int]) -> str:
    first, last = run
    return str(first) if first == last else f"{first}-{last}"


def _numbers(unit: str, text: str) -> list[int]:
    try:
        ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    except ValueError as error:
        raise HwticketsError(f"ticket: '{text}' are no channels of unit {unit}; draw it again") from error
    return [number for run in ends for number in range(run[0], run[-1] + 1)]

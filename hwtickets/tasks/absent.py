"""No task: what is known of a network's inputs and outputs where nothing is to be learnt."""

from __future__ import annotations

from typing import NoReturn

from hwtickets.errors import UsageError
from hwtickets.tasks.custom import Custom


class Absent(Custom):
    """Stands for a task where only costs are asked for.

    Args:
        input_shape: Channels, height and width (pixels) of one input.
        outputs: Width of the network's last layer.
    """

    def __init__(self, input_shape: tuple[int, int, int], outputs: int) -> None:
        self.input_shape, self.num_outputs = input_shape, outputs
        self.classes, self.steps_per_epoch, self.has_test = [], 1, False

    @property
    def _splits(self) -> NoReturn:  # type: ignore[override]
        raise UsageError("there is no task here: nothing can be trained or scored; use hwtickets.search")

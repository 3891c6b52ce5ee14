"""Importance gathered while training, at no extra cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hwtickets.space.units import Unit
from hwtickets.sparsity.importance import Importance, Scores, add_scores, score_units
from hwtickets.training.loop import Hook, TrainingLoop


class ScoreGatherer(Hook):
    """Averages channel scores over the steps since the last reset, from the task's gradients alone.

    Must come before a hook that changes gradients.

    Args:
        units: Units of the search space.
        importance: How a channel is scored.
    """

    name = "scores"

    def __init__(self, units: Mapping[str, Unit], importance: Importance) -> None:
        self._units, self._importance = units, importance
        self._totals: Scores = {}
        self._count = 0

    def after_backward(self, loop: TrainingLoop) -> None:
        """Adds the scores of this step."""
        add_scores(self._totals, score_units(loop.model, self._units.values(), self._importance))
        self._count += 1

    def mean(self) -> Scores:
        """Average scores by unit, on the CPU, where tickets are drawn."""
        return {name: total.cpu() / self._count for name, total in self._totals.items()}

    def reset(self) -> None:
        """Forgets everything; the channels were renumbered or the weights have moved on."""
        self._totals, self._count = {}, 0

    def tensors(self) -> dict[str, Tensor]:
        """The sums so far."""
        return self._totals

    def facts(self) -> dict[str, Any]:
        """How many steps they are of."""
        return {"count": self._count}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Goes on from saved sums."""
        self._totals, self._count = dict(tensors), facts["count"]

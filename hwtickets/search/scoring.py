"""Importance while training: gathered at no extra cost where it can be, else measured when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from hwtickets.space.units import Unit
from hwtickets.sparsity.importance import FactorImportance, Importance, Scores, add_scores, score_units
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.tasks.parts import load_part
from hwtickets.tasks.task import Lessons
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.teacher import untaught

#: Training batches that a network is scored on where tickets are drawn from it.
SCORING_BATCHES = 16
#: The same at an event of a training, for an importance that needs data.
EVENT_BATCHES = 4


class ScoreGatherer(Hook):
    """Channel scores since the last reset.

    An importance of factors is averaged over the steps, from the task's gradients alone; another one is
    measured on the network as it is when it is asked for. Must come before a hook that changes gradients.

    Args:
        units: Units of the search space.
        importance: How a channel is scored.
    """

    name = "scores"

    def __init__(self, units: Mapping[str, Unit], importance: Importance) -> None:
        self._units, self._importance = units, importance
        self._totals: Scores = {}
        self._count = 0
        self._loop: TrainingLoop | None = None

    def after_backward(self, loop: TrainingLoop) -> None:
        """Adds the scores of this step."""
        self._loop = loop
        if not isinstance(self._importance, FactorImportance):
            return
        add_scores(self._totals, score_units(loop.model, self._units.values(), self._importance))
        self._count += 1

    def mean(self) -> Scores:
        """Average scores by unit, on the CPU, where tickets are drawn."""
        if not isinstance(self._importance, FactorImportance):
            assert self._loop is not None
            return self._importance.measure(evidence_of(self._loop), self._units.values())
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


def evidence_of(loop: TrainingLoop) -> Evidence:
    """The network as it is now, and the batches that it is trained on next."""
    steps = range(loop.step, loop.step + EVENT_BATCHES)
    lessons = untaught(loop.lessons)
    batches = batches_of(lessons, steps, loop.accelerator.parts)
    return Evidence(loop.model, batches, lessons.loss, loop.seed * 1_000_003 + loop.step)


def batches_of(
    lessons: Lessons, steps: Iterable[int], parts: int
) -> Callable[[], Iterator[tuple[Tensor, Tensor]]]:
    """Gives the training batches of some steps, at every call the same ones.

    Args:
        lessons: Where they come from.
        steps: Numbers of the steps.
        parts: In as many equal parts as in training: what fits into memory there, fits here.
    """

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for step in steps:
            for part in range(parts):
                yield load_part(lessons, step, part, parts)

    return batches

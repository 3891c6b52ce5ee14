"""The gradients of one batch, in however many passes and processes it is computed."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import Tensor

from hwtickets.supernets.base import Supernet
from hwtickets.tasks.parts import WeighedLessons
from hwtickets.tasks.task import Lessons
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.crew import Crew
from hwtickets.training.feed import Feed


class Gradients:
    """Leaves the gradients of a step's whole batch in a network's parameters; used in a `with` block.

    Args:
        model: The network; its channels may be cut between two steps.
        lessons: Batches and loss.
        accelerator: Where it is computed.
        crew: The other processes, for the first of several.
    """

    def __init__(
        self,
        model: Supernet,
        lessons: Lessons,
        accelerator: Accelerator,
        crew: Crew | None = None,
    ) -> None:
        self._model, self._lessons, self._accelerator, self._crew = model, lessons, accelerator, crew
        self._feed = Feed(lessons, accelerator)

    def __enter__(self) -> Gradients:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.close()
        self._accelerator.release(self._model)
        if self._crew:
            self._crew.end()

    def compute(self, step: int) -> float:
        """Adds the gradients of the loss over the whole batch of a step; gives that loss.

        Raises:
            HwticketsError: An image cannot be read, or the batch cannot be shared out.
        """
        accelerator = self._accelerator
        with accelerator.together():
            if self._crew:
                self._crew.order(step)
            network = accelerator.network(self._model)
            passes = accelerator.compute.accumulate
            factors = self._factors(step)
            total = torch.zeros((), device=accelerator.device)
            for number in range(passes):
                x, targets = self._feed.batch(step, number)
                with accelerator.unsynced(last=number == passes - 1):
                    factor = factors[number] if factors else None
                    loss = self._loss(network(x), targets, factor) / passes
                    accelerator.backward(loss)
                total = total + loss.detach()
            mean = accelerator.mean(total)
        if self._crew:
            self._crew.done()
        return mean

    def _loss(self, outputs: Tensor, targets: Tensor, factor: float | None) -> Tensor:
        if factor is None:
            return self._lessons.loss(outputs, targets)
        assert isinstance(self._lessons, WeighedLessons)
        return self._lessons.weighed_loss(outputs, targets, factor)

    def _factors(self, step: int) -> list[float]:
        """How much each pass of this process counts, 1 on average over all processes; none: all alike."""
        accelerator, lessons = self._accelerator, self._lessons
        if accelerator.parts == 1 or not isinstance(lessons, WeighedLessons):
            return []
        weights: list[float] = []
        for number in range(accelerator.compute.accumulate):
            weight = lessons.loss_weight(self._feed.targets(step, number))
            if weight is None:
                return []
            weights.append(weight)
        own = torch.tensor(sum(weights) / len(weights), dtype=torch.float64, device=accelerator.device)
        # Where nothing counts there is no loss to be weighed.
        mean = accelerator.mean(own) or 1.0
        return [weight / mean for weight in weights]

"""The one training loop; every method is a hook in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.modules.not_finite import where_not_finite
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.parts import load_part
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.batchnorm import training_mode
from hwtickets.training.compute import Compute
from hwtickets.training.crew import Crew
from hwtickets.training.failures import one_line
from hwtickets.training.feed import seed_step
from hwtickets.training.gradients import Gradients
from hwtickets.training.optimizer import set_momentum
from hwtickets.training.schedules import OneCycle, Schedule

if TYPE_CHECKING:
    from hwtickets.tasks.task import Lessons

Trigger = Callable[[int], bool]


class Hook:
    """A method's place in the loop. Every call gets the loop; its state travels with the checkpoints."""

    #: Key of this hook's state in a checkpoint.
    name = "hook"

    def on_step_begin(self, loop: TrainingLoop) -> None:
        """Before the forward pass: schedules."""

    def after_backward(self, loop: TrainingLoop) -> None:
        """Gradients of the task's loss are there: penalties, growth, scores."""

    def after_step(self, loop: TrainingLoop) -> None:
        """Weights were updated: masks, projections, EMA."""

    def on_interval(self, loop: TrainingLoop) -> None:
        """Every `interval` steps and after the last one: observe, save."""

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        """A trigger fired after a step: shrink, prune, reactivate."""

    def tensors(self) -> dict[str, Tensor]:
        """Tensors to be saved, by name."""
        return {}

    def facts(self) -> dict[str, Any]:
        """JSON-able state to be saved."""
        return {}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Takes back what `tensors` and `facts` gave."""


class TrainingLoop:
    """Trains a network for a number of steps; a step depends only on the state before it and on its number.

    Args:
        model: The network.
        lessons: Batches by step number, and the loss.
        optimizer: Updates the weights.
        learning_rate: Rate at a step.
        hooks: In the order in which they are called.
        steps: Number of the step after the last one.
        first_step: Number of the first step; batches and rates go on from there.
        triggers: Events by name, each a test of the number of finished steps.
        interval: Steps between two `on_interval` calls.
        seed: Seeds the random numbers of every step (dropout), together with its number.
        compute: Device, precision and parts of a batch; None for the defaults.

    Attributes:
        accelerator: Where the network is from here on.
    """

    def __init__(
        self,
        model: Supernet,
        lessons: Lessons,
        optimizer: torch.optim.Optimizer,
        learning_rate: Schedule,
        hooks: Sequence[Hook],
        steps: int,
        first_step: int = 0,
        triggers: dict[str, Trigger] | None = None,
        interval: int = 50,
        seed: int = 0,
        compute: Compute | None = None,
    ) -> None:
        self.accelerator = Accelerator(compute or Compute())
        self.model, self.lessons, self.optimizer = model.to(self.accelerator.device), lessons, optimizer
        self.learning_rate, self.hooks = learning_rate, list(hooks)
        self.steps, self.step, self.interval, self.seed = steps, first_step, interval, seed
        self.triggers = triggers or {}
        self.loss = math.nan
        self.rate = 0.0

    def run(self, advance: Callable[..., None] = lambda *_, **__: None) -> None:
        """Trains to the last step.

        Args:
            advance: Called as `advance(steps, note=text)` after every step.

        Raises:
            HwticketsError: The loss is not finite, memory ran out, or a file cannot be read or written.
            ProcessLostError: Another process of this training is gone.
        """
        training_mode(self.model)
        crew = Crew.of(self.accelerator, self.model, self.lessons, self.seed)
        with Gradients(self.model, self.lessons, self.accelerator, crew) as gradients:
            while self.step < self.steps:
                with one_line(f"at step {self.step}", self.accelerator.device):
                    self._one_step(gradients)
                advance(1, note=f"loss {self.loss:.2f}")
                with one_line(f"after {self.step} steps", self.accelerator.device):
                    self._after_step()

    def _one_step(self, gradients: Gradients) -> None:
        seed_step(self.seed, self.step)
        self.rate = self.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
            if isinstance(self.learning_rate, OneCycle):
                set_momentum(group, self.learning_rate.momentum(self.step))
        self._call(lambda hook: hook.on_step_begin(self))
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = gradients.compute(self.step)
        if not math.isfinite(self.loss):
            raise self._diverged()
        # Where fp16 overflowed there is nothing to learn from: neither weights nor scores change.
        if self.accelerator.unscale(self.optimizer):
            self._call(lambda hook: hook.after_backward(self))
        self.accelerator.step(self.optimizer)
        self._call(lambda hook: hook.after_step(self))
        self.step += 1

    def _diverged(self) -> HwticketsError:
        x, _ = load_part(self.lessons, self.step, 0, self.accelerator.parts)
        where = where_not_finite(self.model, x.to(self.accelerator.device))
        outputs = f" (outputs are not finite {where})" if where else ""
        return HwticketsError(
            f"training: the loss is {self.loss} at step {self.step}{outputs};"
            f" lower learning_rate (now {self.rate:.3g})"
        )

    def _after_step(self) -> None:
        for event in [name for name, fires in self.triggers.items() if fires(self.step)]:
            self._call(lambda hook, event=event: hook.on_trigger(self, event))  # type: ignore[misc]
        if self.step % self.interval == 0 or self.step == self.steps:
            self._call(lambda hook: hook.on_interval(self))

    def _call(self, call: Callable[[Hook], None]) -> None:
        for hook in self.hooks:
            call(hook)


def every_share(shares: Iterable[float], steps: int) -> Trigger:
    """A trigger that fires at shares of a run.

    Args:
        shares: In (0, 1].
        steps: Steps of the whole run.
    """
    at = {max(1, round(share * steps)) for share in shares}
    return lambda finished: finished in at

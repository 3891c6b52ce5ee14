"""Learning rates: a number for every step, whatever was trained before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwtickets.errors import UsageError, unknown

if TYPE_CHECKING:
    from hwtickets.config import SearchConfig

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up, then half a cosine down to zero.

    Attributes:
        peak: Highest rate.
        steps: Step at which the rate is zero.
        first_step: Step at which the warm-up begins.
        warmup_share: Share of the steps spent warming up.
    """

    peak: float
    steps: int
    first_step: int = 0
    warmup_share: float = 0.15

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        done, total = step - self.first_step, self.steps - self.first_step
        warmup = self.warmup_share * total
        if done < warmup:
            return self.peak * (done + 1) / (warmup + 1)
        progress = (done - warmup) / max(1.0, total - warmup)
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@dataclass(frozen=True)
class Exponential:
    """Linear warm-up, then down by a factor at even distances, counted from the first step.

    Source: SuperTickets (ECCV 2022), ImageNet: 5 epochs of warm-up, times 0.97 every 2.4 epochs.

    Attributes:
        peak: Highest rate.
        steps_per_epoch: Steps of a pass over the data.
        first_step: Step at which the warm-up begins.
        warmup_epochs: Passes over which the rate rises.
        factor: Of every drop.
        epochs_a_drop: Passes between two drops.
    """

    peak: float
    steps_per_epoch: int
    first_step: int = 0
    warmup_epochs: float = 5.0
    factor: float = 0.97
    epochs_a_drop: float = 2.4

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        done = step - self.first_step
        warmup = _warmup(done, self.warmup_epochs * self.steps_per_epoch)
        return self.peak * warmup * self.factor ** (done // (self.epochs_a_drop * self.steps_per_epoch))


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine up from a small rate to the peak, half a cosine down to almost nothing.

    Momentum, or beta1 of Adam, goes the other way: down to its lowest where the rate is highest.

    Source: Smith and Topin, Super-Convergence (2018); SuperTickets (ECCV 2022) divides by 25 on Cityscapes
    and ADE20K. The other numbers are those of torch's OneCycleLR, which the code of SuperTickets uses.

    Attributes:
        peak: Highest rate.
        steps: Step after the last one.
        first_step: Step at which the rate begins to rise.
        divisor: Of the peak, for the first rate.
        last_divisor: Of the first rate, for the last one.
        rise: Share of the steps up to the peak.
        momenta: Highest and lowest momentum.
    """

    peak: float
    steps: int
    first_step: int = 0
    divisor: float = 25.0
    last_divisor: float = 1e4
    rise: float = 0.3
    momenta: tuple[float, float] = (0.95, 0.85)

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        first_rate = self.peak / self.divisor
        return self._cycle(step, first_rate, self.peak, first_rate / self.last_divisor)

    def momentum(self, step: int) -> float:
        """The momentum at a step."""
        highest, lowest = self.momenta
        return self._cycle(step, highest, lowest, highest)

    def _cycle(self, step: int, first: float, middle: float, last: float) -> float:
        done, total = step - self.first_step, self.steps - self.first_step
        top, end = self.rise * total - 1, max(1, total - 1)
        if done <= top:
            return _cosine(first, middle, done / top)
        return _cosine(middle, last, min(1.0, (done - top) / (end - top)))


@dataclass(frozen=True)
class MultiStep:
    """Linear warm-up, then down by a factor at some epochs.

    Source: SuperTickets (ECCV 2022), COCO: a tenth after epochs 170 and 200 of 210, without warm-up.

    Attributes:
        peak: Highest rate.
        steps_per_epoch: Steps of a pass over the data.
        milestones: Passes after which the rate drops.
        first_step: Step at which the warm-up begins.
        warmup_epochs: Passes over which the rate rises.
        factor: Of every drop.
    """

    peak: float
    steps_per_epoch: int
    milestones: Sequence[float]
    first_step: int = 0
    warmup_epochs: float = 0.0
    factor: float = 0.1

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        done = step - self.first_step
        warmup = _warmup(done, self.warmup_epochs * self.steps_per_epoch)
        drops = sum(done >= milestone * self.steps_per_epoch for milestone in self.milestones)
        return self.peak * warmup * self.factor**drops


def schedule_of(
    config: SearchConfig, steps_per_epoch: int, first_step: int, steps: int, share: float = 1.0
) -> Schedule:
    """The schedule that a configuration asks for.

    Args:
        config: Names the schedule, its peak, its warm-up and its milestones.
        steps_per_epoch: Steps of a pass over the training data.
        first_step: Step at which it begins.
        steps: Step after its last one.
        share: Of the peak, e.g. for finetuning.

    Raises:
        UsageError: A warm-up or milestones do not belong to this schedule, or are missing.
    """
    peak, warmup, total = share * config.learning_rate, config.warmup_epochs, steps - first_step
    if config.schedule == "one-cycle" and warmup is not None:
        raise UsageError(
            "warmup_epochs: the one-cycle schedule has a rise of its own; leave warmup_epochs out"
        )
    if bool(config.milestones) != (config.schedule == "multi-step"):
        raise UsageError(
            "milestones: the multi-step schedule needs them, e.g. [170, 200], and no other takes any"
        )
    if config.schedule == "exponential":
        return Exponential(peak, steps_per_epoch, first_step, 5.0 if warmup is None else warmup)
    if config.schedule == "one-cycle":
        return OneCycle(peak, steps, first_step)
    if config.schedule == "multi-step":
        return MultiStep(peak, steps_per_epoch, tuple(config.milestones), first_step, warmup or 0.0)
    if config.schedule == "cosine":
        share_of_steps = 0.15 if warmup is None else min(1.0, warmup * steps_per_epoch / max(1, total))
        return Cosine(peak, steps, first_step, share_of_steps)
    raise unknown("schedule", config.schedule, ["cosine", "exponential", "one-cycle", "multi-step"])


def finetuning_begins(schedule: str, first_step: int, trained_steps: int) -> int:
    """Step at which the learning rate's schedule of a finetuning begins.

    A cosine begins anew: it ends at zero. The others go on where the search has left them, which is how
    SuperTickets (ECCV 2022) retrains: at about 1 % of the peak on ImageNet and COCO, on the last slope of a
    cycle over search and finetuning on Cityscapes and ADE20K.

    Args:
        schedule: Its name.
        first_step: Number of the finetuning's first step.
        trained_steps: Steps that were trained before it.
    """
    return first_step if schedule == "cosine" else first_step - trained_steps


def _warmup(done: int, steps: float) -> float:
    return min(1.0, (done + 1) / (steps + 1))


def _cosine(begin: float, end: float, progress: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * progress))

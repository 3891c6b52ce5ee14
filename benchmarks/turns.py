"""Search and plain training by turns, so that both meet the same machine."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Literal

import torch

from hwtickets.search.job import Job
from hwtickets.search.shrinking import Pricing
from hwtickets.search.two_in_one import StepPlan, TwoInOne
from hwtickets.training.ema import EMA
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine

#: Wall time counts; processor time tells whether neighbours disturbed it.
Clock = Literal["wall", "processor"]
CLOCKS: tuple[Clock, ...] = ("wall", "processor")


class StepClock(Hook):
    """Times every step; must be the last hook.

    Attributes:
        seconds: Wall time and processor time (of all threads) of every step.
    """

    name = "clock"

    def __init__(self) -> None:
        self.seconds: list[tuple[float, float]] = []
        self._begin = (0.0, 0.0)

    def on_step_begin(self, loop: TrainingLoop) -> None:
        """Starts the clock: no other hook of these trainings works at this point."""
        self._begin = time.perf_counter(), time.process_time()

    def after_step(self, loop: TrainingLoop) -> None:
        """Stops it, after all other hooks."""
        wall_s, cpu_s = self._begin
        self.seconds.append((time.perf_counter() - wall_s, time.process_time() - cpu_s))

    def column(self, clock: Clock) -> list[float]:
        """The seconds of every step by one clock."""
        return [pair[CLOCKS.index(clock)] for pair in self.seconds]


class Turns:
    """A search that is interrupted after every block of steps for a block of plain training.

    Args:
        job: The job.
        pricing: Prices of the search.
        plan: Steps of the search.
        folder: State of the search.
        block: Steps of a turn.

    Attributes:
        search_s: Seconds of the search without the interruptions.
        search: Clock of the search's steps.
        plain: Clock of the plain steps.
    """

    def __init__(self, job: Job, pricing: Pricing, plan: StepPlan, folder: Path, block: int) -> None:
        self.search_s, self._block = 0.0, block
        self._search = TwoInOne(job.supernet(), job.task, pricing, job.config, plan, folder, lambda _: None)
        self._plain = _plain_loop(job, plan)
        self.search, self.plain = StepClock(), StepClock()
        self._search.loop.hooks.append(self.search)
        self._plain.hooks.append(self.plain)

    def run(self, steps: int | None = None) -> None:
        """Runs the whole search, or only its first steps."""
        begin_s = time.perf_counter()
        if steps is None:
            self._search.run(self._advance)
        else:
            self._search.loop.steps = steps
            self._search.loop.run(self._advance)
        self.search_s += time.perf_counter() - begin_s

    def block_ratios(self, clock: Clock) -> list[float]:
        """Median step of the search over median step of plain training, by full turn."""
        search, plain, size = self.search.column(clock), self.plain.column(clock), self._block
        starts = range(0, len(plain) - size + 1, size)
        return [
            statistics.median(search[start : start + size]) / statistics.median(plain[start : start + size])
            for start in starts
        ]

    def _advance(self, steps: int, note: str = "") -> None:
        behind = self._search.loop.step - self._plain.step
        if behind < self._block and self._search.loop.step < self._search.loop.steps:
            return
        begin_s = time.perf_counter()
        self._plain.steps += behind
        self._plain.run()
        self.search_s -= time.perf_counter() - begin_s


def _plain_loop(job: Job, plan: StepPlan) -> TrainingLoop:
    """Plain training of the supernet as the dense baseline does it, with no steps to go yet."""
    model, config = job.supernet(), job.config
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, rate = (
        build_optimizer(model, config.weight_decay),
        Cosine(config.learning_rate, plan.total),
    )
    return TrainingLoop(model, job.task, optimizer, rate, [EMA(config.ema_decay)], 0, seed=config.seed)

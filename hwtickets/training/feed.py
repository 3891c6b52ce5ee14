"""Batches on the device, loaded ahead by threads where a GPU would else wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from hwtickets.tasks.parts import load_part
from hwtickets.tasks.task import Lessons
from hwtickets.training.accelerator import Accelerator

#: Passes that are loaded before they are needed, and the threads that do it, for a GPU.
AHEAD, THREADS = 4, 2

Batch = tuple[Tensor, Tensor]


@runtime_checkable
class Listener(Protocol):
    """Lessons whose loss depends on the inputs, too (a teacher's answer); optional."""

    def listen(self, x: Tensor) -> None:
        """The inputs that the next `loss` is about, on the device."""


class Feed:
    """The parts of batches that this process computes, in the order of steps.

    Lessons are pure functions of the step, so what is loaded ahead is what would have been loaded in time.

    Args:
        lessons: Where the batches come from.
        accelerator: Where they go.
        ahead: Passes loaded before they are needed; None: some for a GPU, none for a CPU, whose cores train.
    """

    def __init__(self, lessons: Lessons, accelerator: Accelerator, ahead: int | None = None) -> None:
        self._lessons, self._accelerator = lessons, accelerator
        self._on_gpu = accelerator.device.type == "cuda"
        self._ahead = (AHEAD if self._on_gpu else 0) if ahead is None else ahead
        self._pool = ThreadPoolExecutor(THREADS) if self._ahead else None
        self._coming: dict[tuple[int, int], Future[Batch]] = {}

    def batch(self, step: int, pass_number: int) -> Batch:
        """Inputs and targets of one pass of a step, on the device.

        Raises:
            HwticketsError: An image cannot be read; the message names it.
        """
        x, targets = self._loaded(step, pass_number)
        x = x.to(self._accelerator.device, non_blocking=True)
        targets = targets.to(self._accelerator.device, non_blocking=True)
        if isinstance(self._lessons, Listener):
            self._lessons.listen(x)
        return x, targets

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _loaded(self, step: int, pass_number: int) -> Batch:
        if self._pool is None:
            return self._load(step, pass_number)
        for key in self._keys(step, pass_number):
            if key not in self._coming:
                self._coming[key] = self._pool.submit(self._load, *key)
        return self._coming.pop((step, pass_number)).result()

    def _keys(self, step: int, pass_number: int) -> Iterator[tuple[int, int]]:
        passes = self._accelerator.compute.accumulate
        first = step * passes + pass_number
        for number in range(first, first + self._ahead + 1):
            yield divmod(number, passes)

    def _load(self, step: int, pass_number: int) -> Batch:
        accelerator = self._accelerator
        x, targets = load_part(self._lessons, step, accelerator.part(pass_number), accelerator.parts)
        return (x.pin_memory(), targets.pin_memory()) if self._on_gpu else (x, targets)


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seeds what a network draws in a step (dropout); every process draws its own numbers."""
    torch.manual_seed((seed * 1_000_003 + step + rank * 2**40) % 2**63)

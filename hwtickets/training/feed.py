"""Batches on the device, loaded ahead by threads where a GPU would else wait for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from hwtickets.tasks.parts import PartedLessons, load_part
from hwtickets.tasks.task import Lessons
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.teacher import untaught

#: Passes that are loaded before they are needed, for a GPU.
AHEAD = 4
#: Numbers of the inputs that one thread loads at least: below, sharing them out costs more than it saves.
SMALLEST_PIECE = 2**19

Batch = tuple[Tensor, Tensor]


@runtime_checkable
class Listener(Protocol):
    """Lessons whose loss depends on the inputs, too (a teacher's answer); optional."""

    def listen(self, x: Tensor) -> None:
        """The inputs that the next `loss` is about, on the device."""


class Feed:
    """The parts of batches that this process computes, in the order of steps.

    Lessons are pure functions of the step, so what is loaded ahead, in however many pieces, is what would
    have been loaded in time.

    Args:
        lessons: Where the batches come from.
        accelerator: Where they go.
        ahead: Passes loaded before they are needed; None: some for a GPU, none for a CPU, whose cores train.
        threads: Threads that load ahead; None for `loading_threads`.
    """

    def __init__(
        self, lessons: Lessons, accelerator: Accelerator, ahead: int | None = None, threads: int | None = None
    ) -> None:
        self._lessons, self._accelerator = lessons, accelerator
        self._on_gpu = accelerator.device.type == "cuda"
        self._ahead = (AHEAD if self._on_gpu else 0) if ahead is None else ahead
        self._threads = threads or loading_threads(accelerator)
        self._pool = ThreadPoolExecutor(self._threads) if self._ahead else None
        self._pieces: int | None = None
        self._coming: dict[tuple[int, int], Future[Batch]] = {}
        self._here: dict[tuple[int, int], Batch] = {}

    def batch(self, step: int, pass_number: int) -> Batch:
        """Inputs and targets of one pass of a step, on the device.

        Raises:
            HwticketsError: An image cannot be read; the message names it.
        """
        x, targets = self._loaded(step, pass_number)
        del self._here[step, pass_number]
        x = x.to(self._accelerator.device, non_blocking=True)
        targets = targets.to(self._accelerator.device, non_blocking=True)
        if isinstance(self._lessons, Listener):
            self._lessons.listen(x)
        return x, targets

    def targets(self, step: int, pass_number: int) -> Tensor:
        """The targets of a pass whose `batch` is still to be asked for; errors as there."""
        return self._loaded(step, pass_number)[1]

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _loaded(self, step: int, pass_number: int) -> Batch:
        key = step, pass_number
        if key not in self._here:
            self._here[key] = self._next(key)
        return self._here[key]

    def _next(self, key: tuple[int, int]) -> Batch:
        if self._pool is None:
            return self._load(*key)
        for other in self._keys(*key):
            if other not in self._coming and other not in self._here:
                self._coming[other] = self._order(self._pool, *other)
        x, targets = self._coming.pop(key).result()
        if self._pieces is None:
            self._pieces = self._pieces_of(x)
        return x, targets

    def _keys(self, step: int, pass_number: int) -> Iterator[tuple[int, int]]:
        passes = self._accelerator.compute.accumulate
        first = step * passes + pass_number
        for number in range(first, first + self._ahead + 1):
            yield divmod(number, passes)

    def _pieces_of(self, x: Tensor) -> int:
        """In how many equal pieces passes are loaded; one where a piece needs the whole batch."""
        if not isinstance(untaught(self._lessons), PartedLessons):
            return 1
        most = min(self._threads, x.numel() // SMALLEST_PIECE)
        return max((count for count in range(1, most + 1) if len(x) % count == 0), default=1)

    def _order(self, pool: ThreadPoolExecutor, step: int, pass_number: int) -> Future[Batch]:
        count = self._pieces or 1
        if count == 1:
            return pool.submit(self._load, step, pass_number)
        pieces = [pool.submit(self._load_piece, step, pass_number, index, count) for index in range(count)]
        # Begun after the pieces, which wait for nothing: no thread waits for one that has not begun.
        return pool.submit(self._join, pieces)

    def _load(self, step: int, pass_number: int) -> Batch:
        return self._pinned(*self._load_piece(step, pass_number, 0, 1))

    def _load_piece(self, step: int, pass_number: int, index: int, count: int) -> Batch:
        accelerator = self._accelerator
        part = accelerator.part(pass_number) * count + index
        return load_part(self._lessons, step, part, accelerator.parts * count)

    def _join(self, pieces: list[Future[Batch]]) -> Batch:
        inputs, targets = zip(*(piece.result() for piece in pieces), strict=True)
        return self._pinned(torch.cat(inputs), torch.cat(targets))

    def _pinned(self, x: Tensor, targets: Tensor) -> Batch:
        return (x.pin_memory(), targets.pin_memory()) if self._on_gpu else (x, targets)


def loading_threads(accelerator: Accelerator) -> int:
    """One a core, at least two; processes on one machine share its cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = accelerator.processes.local_size if accelerator.processes else 1
    return max(2, cores // processes)


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seeds what a network draws in a step (dropout); every process draws its own numbers."""
    torch.manual_seed((seed * 1_000_003 + step + rank * 2**40) % 2**63)

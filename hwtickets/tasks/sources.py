"""Where a user's own examples come from: a data set that can be indexed, or a loader."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks.batches import Batch, Batches
from hwtickets.tasks.order import BatchOrder

#: Batches of a loader that are kept for a step that was asked for out of order.
_KEPT = 8


def length_of(given: Any) -> int | None:
    """How long something is; None where it does not know, as a loader of what can only be gone through."""
    try:
        return len(given)
    except TypeError:
        return None


class Source(Protocol):
    """Examples of one split, in batches.

    Attributes:
        steps_per_epoch: Training batches in one pass.
        batches: What its batches have to be, and how their targets are joined.
    """

    steps_per_epoch: int
    batches: Batches

    def train(self, step: int) -> Batch:
        """The batch of an optimizer step, counted from 0."""

    def calibration(self, index: int) -> Tensor:
        """Inputs of one batch, in an order of their own."""

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All examples once."""


def source_of(name: str, given: object, batch_size: int, seed: int) -> Source:
    """The source behind what a user gave for a split.

    Args:
        name: Of the split, for errors.
        given: A data set with `__len__` and `__getitem__` that gives (input, target), or an iterable of
            batches (inputs, targets) that can be gone through again and has a length.
        batch_size: Examples in a training batch of a data set; a loader has its own.
        seed: Of every order.

    Raises:
        UsageError: It is neither, is empty, or yields something else.
    """
    if hasattr(given, "__getitem__") and hasattr(given, "__len__"):
        source: Source = IndexedSource(name, given, batch_size, seed)
    elif hasattr(given, "__iter__") and length_of(given) is not None and not isinstance(given, Iterator):
        source = LoaderSource(name, given, seed)
    else:
        raise UsageError(
            f"task: {name} is a {type(given).__name__}, which is neither a data set (__len__, __getitem__)"
            " nor a loader that has a length and can be gone through again"
        )
    next(source.in_order(2))
    return source


class IndexedSource:
    """Examples of a data set that can be indexed: every batch is a pure function of the seed and the step.

    What the data set draws by chance (augmentation by torch, NumPy or `random`) is drawn anew, and the same,
    for the same step.

    Args:
        name: Of the split, for errors.
        examples: Gives (input, target) by index.
        batch_size: Examples in a training batch.
        seed: Of orders and draws.
    """

    def __init__(self, name: str, examples: Any, batch_size: int, seed: int) -> None:
        if not len(examples):
            raise UsageError(f"task: the {name} data is empty")
        self.batches, self._examples, self._seed = Batches(name), examples, seed
        self._order = BatchOrder(len(examples), min(batch_size, len(examples)), seed)
        self.steps_per_epoch = self._order.steps_per_epoch
        self._lock = threading.Lock()

    def train(self, step: int) -> Batch:
        """A batch; see `Source.train`."""
        with self._lock, drawing(self._seed, 2 * step):
            return self._collated(self._order.train(step))

    def calibration(self, index: int) -> Tensor:
        """Inputs; see `Source.calibration`."""
        with self._lock, drawing(self._seed, 2 * index + 1):
            return self._collated(self._order.calibration(index))[0]

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All examples once, the same at every call."""
        for indices in torch.split(torch.arange(len(self._examples)), batch_size):
            with drawing(self._seed, int(indices[0])):
                batch = self._collated(indices)
            yield batch

    def _collated(self, indices: Tensor) -> Batch:
        from torch.utils.data import default_collate

        examples = [self._example(int(index)) for index in indices]
        try:
            batch = default_collate(examples)
        except (TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(
                f"task: examples of the {self.batches.name} data cannot be put into one batch: {reason}"
            ) from error
        return self.batches.checked(batch)

    def _example(self, index: int) -> Any:
        try:
            return self._examples[index]
        except Exception as error:  # Whatever the user's own data set raises.
            raise HwticketsError(
                f"task: example {index} of the {self.batches.name} data failed ({_said(error)})"
            ) from error


class LoaderSource:
    """Batches of a loader that can only be gone through.

    The step is found again by going through the loader from the start of its epoch, the order of which is
    seeded by the epoch's number. What a resumed run does not repeat: what a loader remembers between two
    passes (a generator of its own, persistent workers), and what a pass in the middle of a run draws
    otherwise than from its start. The batch size is the loader's.

    Args:
        name: Of the split, for errors.
        loader: Gives batches (inputs, targets).
        seed: Of the orders.
    """

    def __init__(self, name: str, loader: Any, seed: int) -> None:
        if not len(loader):
            raise UsageError(f"task: the {name} loader is empty")
        self._name, self._loader, self._seed, self.batches = name, loader, seed, Batches(name)
        self.steps_per_epoch = len(loader)
        self._lock = threading.Lock()
        self._training, self._calibration = _Passes(self), _Passes(self)

    def train(self, step: int) -> Batch:
        """A batch; see `Source.train`."""
        with self._lock:
            return self._training.at(step)

    def calibration(self, index: int) -> Tensor:
        """Inputs of the loader's first epoch."""
        with self._lock:
            return self._calibration.at(index % self.steps_per_epoch)[0]

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All batches once, as large as the loader makes them."""
        return self.epoch(0)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one pass; fewer than the loader's length are an error."""
        with drawing(self._seed, number), self._failing(0):
            batches = iter(self._loader)
        for place in range(self.steps_per_epoch):
            with drawing(self._seed, number * self.steps_per_epoch + place), self._failing(place):
                batch = next(batches, None)
            if batch is None:
                raise HwticketsError(
                    f"task: the {self._name} loader ended after {place} of the {self.steps_per_epoch} batches"
                    " that its length promises; give one that can be gone through again"
                )
            yield self.batches.checked(batch)

    @contextmanager
    def _failing(self, place: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Whatever the user's own loader raises.
            raise HwticketsError(
                f"task: batch {place} of the {self._name} loader failed ({_said(error)})"
            ) from error


class _Passes:
    """Finds the batch of a step in passes through a loader."""

    def __init__(self, source: LoaderSource) -> None:
        self._source = source
        self._batches: Iterable[Batch] = iter(())
        self._next = -1
        self._kept: dict[int, Batch] = {}

    def at(self, step: int) -> Batch:
        """The batch of a step; steps close behind the last one are kept, others begin their epoch again."""
        if step in self._kept:
            return self._kept[step]
        length = self._source.steps_per_epoch
        if not self._next <= step or step // length != self._next // length or self._next % length == 0:
            self._batches = self._source.epoch(step // length)
            self._next = step // length * length
        for batch in self._batches:
            self._kept[self._next] = batch
            self._kept.pop(self._next - _KEPT, None)
            self._next += 1
            if self._next > step:
                break
        return self._kept[step]


@contextmanager
def drawing(seed: int, number: int) -> Iterator[None]:
    """What is drawn within it, by torch, NumPy or `random`, is a function of seed and number alone."""
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    before, before_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed)
        random.seed(mixed)
        np.random.seed(mixed)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(before_numpy)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

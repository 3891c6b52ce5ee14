"""Which training images a step shows, and its random draws: pure functions of the seed and the step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hwtickets.errors import UsageError

EPOCH_STREAM, STEP_STREAM, CALIBRATION_STREAM = range(3)


class BatchOrder:
    """The order of the training images: every epoch a new one, a last short batch is dropped.

    Args:
        count: Training images.
        batch_size: Images in a training batch.
        seed: Of every order and draw.

    Attributes:
        steps_per_epoch: Full batches in the training images.

    Raises:
        UsageError: The batch is larger than the training data.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        if not 1 <= batch_size <= count:
            raise UsageError(f"batch size {batch_size} does not fit: there are {count} training images.")
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = count // batch_size
        self._known: tuple[int, Tensor] = (-1, torch.empty(0))

    def train(self, step: int) -> Tensor:
        """Indices of the images of one optimizer step, counted from 0, int64 (B,)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return self._batch(self._epoch(epoch), position)

    def calibration(self, index: int) -> Tensor:
        """Indices of a calibration batch, in an order of their own that repeats every epoch, int64 (B,)."""
        return self._batch(self._shuffled(CALIBRATION_STREAM, 0), index % self.steps_per_epoch)

    def generator(self, step: int) -> np.random.Generator:
        """What the augmentation of one optimizer step draws from."""
        return self._stream(STEP_STREAM, step)

    def _epoch(self, epoch: int) -> Tensor:
        known_epoch, order = self._known
        if epoch == known_epoch:
            return order
        order = self._shuffled(EPOCH_STREAM, epoch)
        self._known = (epoch, order)
        return order

    def _batch(self, order: Tensor, position: int) -> Tensor:
        return order[position * self.batch_size : (position + 1) * self.batch_size]

    def _shuffled(self, stream: int, number: int) -> Tensor:
        return torch.from_numpy(self._stream(stream, number).permutation(self.count))

    def _stream(self, stream: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, number])

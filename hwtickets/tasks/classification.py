"""Image classification: one class an image, scored by top-1 accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.tasks.augmentation import normalise
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.datasets import load_dataset
from hwtickets.tasks.evaluation import LARGEST_BATCH, batch_size_for, evaluating
from hwtickets.tasks.logits import same_first_class, softened_divergence
from hwtickets.tasks.order import BatchOrder
from hwtickets.tasks.parts import part_rows
from hwtickets.tasks.settings import TaskSettings
from hwtickets.tasks.splits import Split
from hwtickets.tasks.task import SplitName


class Classification:
    """Classification of the images of one data set.

    Args:
        dataset: What is classified.
        batch_size: Images in a training batch.
        label_smoothing: Share of the target spread evenly over all classes.
        seed: Orders and augments the training images.

    Raises:
        UsageError: The batch is larger than the training data.
    """

    name: ClassVar = "classification"
    metric: ClassVar = "top-1 accuracy"
    metric_unit: ClassVar = "%"
    higher_is_better: ClassVar = True
    head: ClassVar = "classification"

    def __init__(
        self, dataset: Dataset, batch_size: int, label_smoothing: float = 0.0, seed: int = 0
    ) -> None:
        self.dataset = dataset
        self.label_smoothing = label_smoothing
        self.input_shape = (dataset.channels, dataset.resolution, dataset.resolution)
        self.classes = dataset.classes
        self.num_outputs = len(dataset.classes)
        self._order = BatchOrder(len(dataset.train), batch_size, seed)
        self.steps_per_epoch = self._order.steps_per_epoch

    @classmethod
    def build(cls, settings: TaskSettings) -> Classification:
        """Classification of a data set by name; errors as in `tasks.build_task`."""
        dataset = load_dataset(settings.data, settings.side, settings.seed, settings.smallest_crop)
        return cls(dataset, settings.batch_size, settings.label_smoothing, settings.seed)

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """One augmented training batch; a pure function of the seed and the step.

        Args:
            step: Counts optimizer steps from 0; every `steps_per_epoch` steps the images come in a new order.

        Returns:
            Normalised images float32 (B, C, H, W), channels last, and labels int64 (B,).
        """
        return self.train_part(step, 0, 1)

    def train_part(self, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
        """One of `count` equal parts of a training batch, loaded without the rest; see `PartedLessons`."""
        batch = self._order.train(step)
        rows = part_rows(len(batch), index, count)
        images = self.dataset.train.varied(batch, rows, self._order.generator(step))
        return self._normalise(images), self.dataset.train.labels[batch[rows]]

    def validation_batches(self, batch_size: int = LARGEST_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation images in order, normalised, with their labels."""
        return self._batches(self.dataset.validation, batch_size)

    def test_batches(self, batch_size: int = LARGEST_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """The test images in order, normalised, with their labels."""
        return self._batches(self.dataset.test, batch_size)

    def calibration_batch(self, index: int) -> Tensor:
        """Training images without augmentation, in an order of their own; repeats after `steps_per_epoch`.

        Returns:
            Normalised images float32 (B, C, H, W), channels last.
        """
        indices = self._order.calibration(index)
        return self._normalise(_channels_last(self.dataset.train.batch(indices)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) against labels (B,), averaged over the batch."""
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def imitation_loss(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Divergence of the softened class probabilities; see `softened_divergence`."""
        return softened_divergence(outputs, taught, temperature)

    @torch.no_grad()
    def score(self, model: nn.Module, split: SplitName) -> float:
        """Top-1 accuracy in percent, in evaluation mode; every module is put back into the mode it was in."""
        side = self.dataset.resolution
        batches = self._batches(getattr(self.dataset, split), batch_size_for(side, side))
        device = next(model.parameters()).device
        right = count = 0
        with evaluating(model):
            for images, labels in batches:
                right += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
                count += len(labels)
        return 100 * right / count

    @staticmethod
    def score_outputs(outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """Top-1 accuracy in percent of logits (images, classes) against labels (images,)."""
        return 100 * float((outputs.argmax(1) == targets).mean())

    @staticmethod
    def agreement(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
        """Share of images with the same first class."""
        return same_first_class(expected, actual)

    def preprocessing(self) -> dict[str, Any]:
        """How to make an input: cut out the middle, scale it, (pixel / 255 - mean) / std.

        The middle is a square, `crop_share` of the image's shorter side.
        """
        return {
            "layout": "NCHW",
            "color": "grey" if self.dataset.channels == 1 else "RGB",
            "channels": self.dataset.channels,
            "resolution": self.dataset.resolution,
            "crop": "center",
            "crop_share": self.dataset.centre_share,
            "input_range": [0.0, 1.0],
            "mean": [round(value, 6) for value in self.dataset.mean.tolist()],
            "std": [round(value, 6) for value in self.dataset.std.tolist()],
        }

    def _normalise(self, images: NDArray[np.uint8]) -> Tensor:
        return normalise(images, self.dataset.mean, self.dataset.std)

    def _batches(self, split: Split, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in torch.split(torch.arange(len(split)), batch_size):
            yield self._normalise(_channels_last(split.batch(indices))), split.labels[indices]


def _channels_last(images: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = images.numpy().transpose(0, 2, 3, 1)
    return pixels

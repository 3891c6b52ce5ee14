"""A data set: three splits of images, their classes, and how bright its training images are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwtickets.tasks.splits import Split

STATISTICS_IMAGES = 5_000
STATISTICS_BATCH = 50
SMALLEST_STD = 1 / 255


@dataclass(frozen=True)
class Dataset:
    """Images for one task.

    Attributes:
        name: The specification that it was loaded by.
        train: What weights are learnt from.
        validation: What choices are made on.
        test: Touched once, at the end.
        classes: Name of every class, in the order of the labels.
        mean: Mean of every channel over the training images, (C,), on a scale of 0 to 1.
        std: Standard deviation of every channel, (C,), on the same scale.
        channels: 1 (grey) or 3 (RGB).
        resolution: Height and width of the images, in pixels.
        centre_share: Of a picture's shorter side that the images of evaluation show.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: list[str]
    mean: Tensor
    std: Tensor
    channels: int
    resolution: int
    centre_share: float = 1.0

    @classmethod
    def of(
        cls,
        name: str,
        train: Split,
        validation: Split,
        test: Split,
        classes: Sequence[str],
        centre_share: float = 1.0,
    ) -> Dataset:
        """A data set whose shape and statistics are read off its training images."""
        channels, resolution, _ = train.batch(torch.zeros(1, dtype=torch.int64))[0].shape
        mean, std = channel_statistics(train)
        statistics = (mean, std, channels, resolution)
        return cls(name, train, validation, test, list(classes), *statistics, centre_share)


def channel_statistics(split: Split) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel, (C,) each, on a scale of 0 to 1.

    Taken over all images, or over 5,000 drawn at random where there are more.
    """
    order = np.random.default_rng(0).permutation(len(split))[:STATISTICS_IMAGES]
    total, total_squared, pixels = np.zeros(1), np.zeros(1), 0
    for start in range(0, len(order), STATISTICS_BATCH):
        indices = torch.from_numpy(order[start : start + STATISTICS_BATCH])
        values = split.batch(indices).numpy().astype(np.float64) / 255
        total = total + values.sum((0, 2, 3))
        total_squared = total_squared + np.square(values).sum((0, 2, 3))
        pixels += values.size // values.shape[1]
    mean = total / pixels
    # A channel of one colour would otherwise be divided by zero.
    variance = (total_squared / pixels - mean**2).clip(min=SMALLEST_STD**2)
    return torch.from_numpy(mean).float(), torch.from_numpy(np.sqrt(variance)).float()

"""Splits: images and labels that are asked for by index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hwtickets.tasks.images import decode_file, fill_in_threads


class Split(Protocol):
    """Labelled images of one size, as they were stored (uint8, 0 to 255)."""

    @property
    def labels(self) -> Tensor:
        """Class of every image, int64 (N,)."""

    def __len__(self) -> int:
        """Number of images."""

    def batch(self, indices: Tensor) -> Tensor:
        """Images at these indices, int64 (B,), as uint8 (B, C, H, W)."""


class ArraySplit:
    """Images held in memory.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        resolution: Side that `batch` scales the images to, in pixels; None keeps their own.
    """

    def __init__(self, images: Tensor, labels: Tensor, resolution: int | None = None) -> None:
        self.images = images
        self.labels = labels
        self.size = (resolution, resolution) if resolution else tuple(images.shape[-2:])

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> Tensor:
        """Images at these indices as uint8 (B, C, H, W)."""
        images = torch.from_numpy(self.images.numpy()[indices.numpy()])
        if images.shape[-2:] == self.size:
            return images
        return torch.nn.functional.interpolate(images, self.size, mode="bilinear", antialias=True)


class FileSplit:
    """Image files, decoded when they are asked for.

    Args:
        paths: One file an image.
        labels: int64 (N,).
        resolution: Side of the images that `batch` gives, in pixels.
        channels: 1 (grey) or 3 (RGB).
    """

    def __init__(self, paths: Sequence[Path], labels: Tensor, resolution: int, channels: int) -> None:
        self.paths = paths
        self.labels = labels
        self.resolution = resolution
        self.channels = channels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size_bytes(self) -> int:
        """Memory that all images take once decoded."""
        return len(self) * self.channels * self.resolution**2

    def batch(self, indices: Tensor) -> Tensor:
        """Images at these indices as uint8 (B, C, H, W).

        Raises:
            HwticketsError: A file is not an image; the message names it.
        """
        paths = [self.paths[index] for index in indices.tolist()]
        images = np.empty((len(paths), self.channels, self.resolution, self.resolution), dtype=np.uint8)
        fill_in_threads(images, lambda index: decode_file(paths[index], self.resolution, self.channels))
        return torch.from_numpy(images)

    def in_memory(self) -> ArraySplit:
        """Decode every file once.

        Raises:
            HwticketsError: A file is not an image; the message names it.
        """
        return ArraySplit(self.batch(torch.arange(len(self))), self.labels)


class Subset:
    """Some images of another split.

    Args:
        parent: The split that holds the images.
        indices: Which of its images, int64 (N,).
    """

    def __init__(self, parent: Split, indices: Tensor) -> None:
        self.parent = parent
        self.indices = indices
        self.labels = parent.labels[indices]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Tensor) -> Tensor:
        """Images at these indices of the subset as uint8 (B, C, H, W)."""
        return self.parent.batch(self.indices[indices])


def hold_out(split: Split, share: float, seed: int) -> tuple[Subset, Subset]:
    """Part a split in two, class by class.

    Args:
        split: What is parted; every class needs two images.
        share: Share of every class that goes into the second part, at least one image.
        seed: Chooses which images.

    Returns:
        The rest, and the part held out; both keep the order of the split.
    """
    generator = np.random.default_rng(seed)
    labels = split.labels.numpy()
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(share * len(members)))
        held[generator.choice(members, count, replace=False)] = True
    return Subset(split, _where(~held)), Subset(split, _where(held))


def _where(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))

"""Splits: images and labels that are asked for by index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hwtickets.tasks.augmentation import random_draws, random_window, shift_and_flip
from hwtickets.tasks.images import (
    CENTRE_SHARE,
    centre_square,
    channels_first,
    fill_in_threads,
    in_threads,
    open_image,
    read_size,
)

SHIFT_SHARE = 14
"""Images are shifted by up to a fourteenth of their side, 2 pixels of 28: more costs short runs accuracy."""
PIXEL_BYTES = {"L": 1, "RGB": 4}
"""Of a picture that Pillow holds."""

Pixels = NDArray[np.uint8]


class Split(Protocol):
    """Labelled images of one size, as they were stored (uint8, 0 to 255)."""

    @property
    def labels(self) -> Tensor:
        """Class of every image, int64 (N,)."""

    def __len__(self) -> int:
        """Number of images."""

    def batch(self, indices: Tensor) -> Tensor:
        """Images at these indices, int64 (B,), as uint8 (B, C, H, W)."""

    def varied(self, indices: Tensor, rows: slice, generator: np.random.Generator) -> Pixels:
        """A part of a training batch, each image changed at random.

        Args:
            indices: Of the whole batch, int64 (B,).
            rows: Which of them are this part.
            generator: Draws for the whole batch, so that its parts are what they would be in one.

        Returns:
            The part, (b, H, W, C).
        """


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

    def varied(self, indices: Tensor, rows: slice, generator: np.random.Generator) -> Pixels:
        """A part of a batch, shifted and every other image mirrored; see `Split.varied`."""
        images: Pixels = self.batch(indices[rows]).numpy().transpose(0, 2, 3, 1)
        return shift_and_flip(images, self.size[0] // SHIFT_SHARE, generator, len(indices), rows)


class FileSplit:
    """Image files of any sizes, decoded when they are asked for.

    Args:
        paths: One file an image.
        labels: int64 (N,).
        resolution: Side of the images that `batch` and `varied` give, in pixels.
        channels: 1 (grey) or 3 (RGB).
        smallest_crop: Share of a picture that `varied` shows at least; 1 where it is not asked for.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Tensor,
        resolution: int,
        channels: int,
        smallest_crop: float = 1.0,
    ) -> None:
        self.paths = paths
        self.labels = labels
        self.resolution = resolution
        self.channels = channels
        self.smallest_crop = smallest_crop
        self._mode = "L" if channels == 1 else "RGB"
        # So that no part that may be seen has to be enlarged.
        self._least = math.ceil(resolution / min(CENTRE_SHARE, math.sqrt(smallest_crop)))
        self._held: list[Image.Image] = []

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size_bytes(self) -> int:
        """Memory that all images of `batch` take."""
        return len(self) * self.channels * self.resolution**2

    @property
    def pictures_bytes(self) -> int:
        """Memory that the pictures take, by the heads of all files; errors as of `batch`."""
        sizes = in_threads(lambda path: read_size(path, self._mode, self._least), self.paths)
        return PIXEL_BYTES[self._mode] * sum(width * height for width, height in sizes)

    def batch(self, indices: Tensor) -> Tensor:
        """The middle of the pictures at these indices as uint8 (B, C, H, W).

        Raises:
            HwticketsError: A file is not an image; the message names it.
        """
        chosen = indices.tolist()
        images = np.empty((len(chosen), self.channels, self.resolution, self.resolution), dtype=np.uint8)
        fill_in_threads(
            images, lambda row: channels_first(centre_square(self._picture(chosen[row]), self.resolution))
        )
        return torch.from_numpy(images)

    def varied(self, indices: Tensor, rows: slice, generator: np.random.Generator) -> Pixels:
        """Random parts of pictures, scaled, and every other one mirrored; see `Split.varied`."""
        draws, chosen = random_draws(len(indices), generator)[rows], indices[rows].tolist()
        images = np.empty((len(chosen), self.resolution, self.resolution, self.channels), dtype=np.uint8)
        fill_in_threads(images, lambda row: self._part(self._picture(chosen[row]), draws[row]))
        return images

    def taken(self, indices: Tensor, smallest_crop: float) -> FileSplit:
        """Some of the files."""
        paths = [self.paths[index] for index in indices.tolist()]
        return FileSplit(paths, self.labels[indices], self.resolution, self.channels, smallest_crop)

    def hold_pictures(self) -> None:
        """Decodes every file once, at its own size; errors as of `batch`."""
        self._held = in_threads(self._picture, range(len(self)))

    def in_memory(self) -> ArraySplit:
        """The images of `batch`, every file decoded once; errors as there."""
        return ArraySplit(self.batch(torch.arange(len(self))), self.labels)

    def _picture(self, index: int) -> Image.Image:
        return self._held[index] if self._held else open_image(self.paths[index], self._mode, self._least)

    def _part(self, picture: Image.Image, draws: NDArray[np.float64]) -> Pixels:
        window = random_window(draws, picture.size, self.smallest_crop)
        side = (self.resolution, self.resolution)
        pixels = channels_first(picture.resize(side, Image.Resampling.BILINEAR, window)).transpose(1, 2, 0)
        return pixels[:, ::-1] if draws[-1] < 0.5 else pixels


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

    def varied(self, indices: Tensor, rows: slice, generator: np.random.Generator) -> Pixels:
        """A part of a batch, varied as the parent does."""
        return self.parent.varied(self.indices[indices], rows, generator)


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

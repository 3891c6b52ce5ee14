"""From stored pixels to a batch of network inputs: shift or cut out at random, flip, normalise.

In NumPy rather than torch: on one thread it is as fast, and where other processes keep the cores busy, each
of torch's parallel loops waits at its barrier for whole time slices (8 ms were measured for 0.4 ms of work).

No library of augmentations does it: Albumentations is not maintained any more, its successor is under the
AGPL, and both need OpenCV beside Pillow; Kornia takes tensors of one size, so that pictures would be scaled
before they are cut; others are built on torchvision. What is left, a window and a flip by step and image, is
short.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LARGEST_STRETCH = 4 / 3
"""Szegedy et al., Going deeper with convolutions (2015), section 6."""
ATTEMPTS = 10

Window = tuple[int, int, int, int]


def shift_and_flip(
    images: NDArray[np.uint8],
    largest_shift: int,
    generator: np.random.Generator,
    batch_size: int | None = None,
    part: slice = slice(None),
) -> NDArray[np.uint8]:
    """Shift every image by up to so many pixels each way, and mirror about half of them left to right.

    What a shift uncovers is filled by reflection at the edge. One gather does both, for all images at once.

    Args:
        images: (B, H, W, C).
        largest_shift: In pixels, less than the height and the width.
        generator: Draws shifts and flips of a whole batch.
        batch_size: Images of that batch; None: these are all.
        part: Which of the batch these images are.

    Returns:
        (B, H, W, C).
    """
    count, height, width, _ = images.shape
    drawn = batch_size or count
    shifts = generator.integers(-largest_shift, largest_shift + 1, (2, drawn, 1))[:, part]
    mirrored = generator.random((drawn, 1))[part] < 0.5
    rows = _reflect(np.arange(height) + shifts[0], height)
    columns = _reflect(np.arange(width) + shifts[1], width)
    columns = np.where(mirrored, width - 1 - columns, columns)
    shifted: NDArray[np.uint8] = images[
        np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return shifted


def random_draws(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """What `random_window` and a flip of each of so many pictures draw from, (count, 2 * ATTEMPTS + 3)."""
    return generator.random((count, 2 * ATTEMPTS + 3))


def random_window(draws: NDArray[np.float64], size: tuple[int, int], smallest: float) -> Window:
    """A random part of a picture, up to a third longer one way than the other.

    Args:
        draws: One row of `random_draws`; its last entry is not used.
        size: Width and height of the picture, in pixels.
        smallest: Share of the picture's area that the part has at least.

    Returns:
        Left, top, right and bottom in pixels. Where no attempt has fitted, the largest part in the middle
        that is not longer than that.

    Source: Szegedy et al., Going deeper with convolutions (2015), section 6.
    """
    width, height = size
    areas = width * height * (smallest + (1 - smallest) * draws[:ATTEMPTS])
    stretch = LARGEST_STRETCH ** (2 * draws[ATTEMPTS : 2 * ATTEMPTS] - 1)
    sides = np.stack([np.sqrt(areas * stretch), np.sqrt(areas / stretch)], 1).round().astype(np.int64)
    fitting = sides[((sides >= 1) & (sides <= (width, height))).all(1)]
    if not len(fitting):
        across, down = min(width, int(LARGEST_STRETCH * height)), min(height, int(LARGEST_STRETCH * width))
        left, top = (width - across) // 2, (height - down) // 2
        return left, top, left + across, top + down
    across, down = fitting[0].tolist()
    left, top = int(draws[-3] * (width - across + 1)), int(draws[-2] * (height - down + 1))
    return left, top, left + across, top + down


def normalise(images: NDArray[np.uint8], mean: Tensor, std: Tensor) -> Tensor:
    """Compute (pixel / 255 - mean) / std.

    Args:
        images: (B, H, W, C).
        mean: (C,), on a scale of 0 to 1.
        std: (C,), on the same scale.

    Returns:
        float32 (B, C, H, W), channels last in memory.
    """
    pixels = images.astype(np.float32, order="C")
    pixels *= (1 / (255 * std)).numpy()
    pixels -= (mean / std).numpy()
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _reflect(positions: NDArray[Any], size: int) -> NDArray[Any]:
    reflected: NDArray[Any] = (size - 1) - np.abs((size - 1) - np.abs(positions))
    return reflected

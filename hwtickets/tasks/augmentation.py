"""From stored pixels to a batch of network inputs: shift, flip, normalise.

In NumPy rather than torch: on one thread it is as fast, and where other processes keep the cores busy, each
of torch's parallel loops waits at its barrier for whole time slices (8 ms were measured for 0.4 ms of work).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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

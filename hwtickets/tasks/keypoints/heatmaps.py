"""Heatmaps: a joint as a hill on a grid of cells, and a hill read back as a joint.

A cell is 4x4 input pixels and stands for the point in its middle, so that mirroring the input mirrors the
heatmaps exactly and no shift by a cell is needed when both are averaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwtickets.tasks.settings import Decoding

STRIDE = 4
"""Side of a cell in input pixels."""
SIGMA_SHARE = 1 / 32
"""Of the heatmap's height: 2 cells at 256x192 and 3 at 384x288 (Sun et al., HRNet, 2019, public settings)."""
SMALLEST_SIGMA = 1.5
"""In cells: a smaller hill teaches a small network too little at a time."""
SHIFT = 0.25
"""In cells, towards the higher neighbour (Xiao, Wu and Wei, Simple baselines, 2018, section 3)."""
SHARPNESS, REACH = 8.0, 3
"""Of the soft argmax: the peak weighs e^8 times as much as an empty cell; cells up to 3 away count. Exact
hills of spreads from 1 to 3 cells are found within 0.12 of a cell, by the shift within 0.25."""
LOWEST_PEAK = 1e-6


def sigma_for(height: int) -> float:
    """Spread of the hills in cells for heatmaps of a height in cells."""
    return max(SMALLEST_SIGMA, height * SIGMA_SHARE)


def draw_heatmaps(joints: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Gaussian hills of height 1 at the joints' exact places, which need not be the middle of a cell.

    Args:
        joints: x and y in input pixels and anything more, (B, K, 2 or more).
        size: Height and width of the heatmaps, in cells.
        sigma: Spread in cells.

    Returns:
        (B, K, height, width).
    """
    cells = cells_of(joints[..., :2].float())
    across, down = (_bell(cells[..., axis], size[1 - axis], sigma) for axis in (0, 1))
    return down[..., :, None] * across[..., None, :]


def cells_of(pixels: Any) -> Any:
    """Input pixels, an array or a tensor, as cells."""
    return (pixels + 0.5) / STRIDE - 0.5


def pixels_of(cells: Any) -> Any:
    """Cells, an array or a tensor, as input pixels."""
    return (cells + 0.5) * STRIDE - 0.5


def peaks(heatmaps: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The highest cell of every heatmap.

    Args:
        heatmaps: (B, K, height, width).

    Returns:
        Its column and row (B, K, 2), and its value (B, K).
    """
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    best = flat.argmax(2)
    rows, columns = np.divmod(best, heatmaps.shape[3])
    return np.stack([columns, rows], 2), np.take_along_axis(flat, best[..., None], 2)[..., 0]


def read_heatmaps(
    heatmaps: NDArray[np.float32], decoding: Decoding = "shifted"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The joints that heatmaps show.

    Args:
        heatmaps: (B, K, height, width).
        decoding: "shifted": the highest cell, moved a quarter of a cell towards its higher neighbour on each
            axis; "soft": the mean place around the highest cell, weighted by the exponential of the height
            (a local soft argmax).

    Returns:
        x and y in input pixels (B, K, 2), and the height of the peaks (B, K).
    """
    cells, values = peaks(heatmaps)
    places = _mean_places(heatmaps, cells, values) if decoding == "soft" else _shifted(heatmaps, cells)
    return pixels_of(places), values.astype(np.float64)


def _bell(centers: Tensor, length: int, sigma: float) -> Tensor:
    places = torch.arange(length, dtype=centers.dtype, device=centers.device)
    return torch.exp(-0.5 * ((places - centers[..., None]) / sigma) ** 2)


def _shifted(heatmaps: NDArray[np.float32], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    last = np.array(heatmaps.shape[:1:-1]) - 1
    images, joints = np.ogrid[: cells.shape[0], : cells.shape[1]]

    def height(step: tuple[int, int]) -> NDArray[np.float32]:
        columns, rows = np.moveaxis(np.clip(cells + step, 0, last), 2, 0)
        return heatmaps[images, joints, rows, columns]

    slopes = np.stack([height((1, 0)) - height((-1, 0)), height((0, 1)) - height((0, -1))], 2)
    # On the border one neighbour is unknown.
    inside = (cells > 0) & (cells < last)
    return cells + SHIFT * inside * np.sign(slopes)


def _mean_places(
    heatmaps: NDArray[np.float32], cells: NDArray[np.int64], values: NDArray[np.float32]
) -> NDArray[np.float64]:
    # What lies outside the heatmap weighs nothing.
    edges = ((0, 0), (0, 0), (REACH, REACH), (REACH, REACH))
    padded = np.pad(heatmaps.astype(np.float64), edges, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * REACH + 1,) * 2, (2, 3))
    images, joints = np.ogrid[: cells.shape[0], : cells.shape[1]]
    peak = values[..., None, None].astype(np.float64)
    around = windows[images, joints, cells[..., 1], cells[..., 0]]
    # Relative to the peak, so that a low hill is read like a high one.
    weights = np.exp(SHARPNESS * (around - peak) / np.maximum(peak, LOWEST_PEAK))
    weights /= weights.sum((2, 3), keepdims=True)
    steps = np.arange(-REACH, REACH + 1)
    return cells + np.stack([(weights.sum(2) * steps).sum(2), (weights.sum(3) * steps).sum(2)], 2)

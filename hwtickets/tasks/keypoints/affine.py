"""Affine maps between the pixels of an image and those of a crop; a pixel's coordinates are its centre's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOX_PADDING = 1.25
"""A box is enlarged by this before it is cut out: what SimpleBaseline's and HRNet's public code use."""


def crop_matrices(
    boxes: Floats,
    size: tuple[int, int],
    enlarged: NDArray[Any] | float = 1.0,
    degrees: NDArray[Any] | float = 0.0,
    mirrored: NDArray[Any] | bool = False,
    padding: float = BOX_PADDING,
) -> Floats:
    """Maps from an image to crops that show boxes whole, centred and undistorted.

    Args:
        boxes: Left, top, width and height in pixels, (B, 4).
        size: Height and width of a crop, in pixels.
        enlarged: What each box is enlarged by, besides the padding; (B,) or one for all.
        degrees: What each crop is turned by, clockwise; (B,) or one for all.
        mirrored: Whether each crop is mirrored left to right; (B,) or one for all.
        padding: What all boxes are enlarged by.

    Returns:
        (B, 2, 3): crop point = matrix[:, :2] @ image point + matrix[:, 2].

    Source: top-down crops of Xiao, Wu and Wei, Simple baselines for human pose estimation (2018), section 3.
    """
    height, width = size
    # A box counts from the pixels' edges, which are half a pixel before their centres.
    centers = boxes[:, :2] + boxes[:, 2:] / 2 - 0.5
    zoom = np.minimum(width / boxes[:, 2], height / boxes[:, 3]) / (padding * np.asarray(enlarged))
    angle = np.broadcast_to(np.radians(degrees), zoom.shape)
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    linear = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)
    linear[:, 0] *= np.where(np.broadcast_to(mirrored, zoom.shape), -1.0, 1.0)[:, None]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return _with_shift(linear, middle - _turned(linear, centers))


def inverse(matrices: Floats) -> Floats:
    """The maps back, (B, 2, 3)."""
    linear = np.linalg.inv(matrices[:, :, :2]).astype(np.float64)
    return _with_shift(linear, -_turned(linear, matrices[:, :, 2]))


def mapped(matrices: Floats, points: Floats) -> Floats:
    """Points (B, K, 2) after their map (B, 2, 3)."""
    moved: Floats = np.einsum("bij,bkj->bki", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    return moved


def _turned(linear: Floats, points: Floats) -> Floats:
    turned: Floats = np.einsum("bij,bj->bi", linear, points)
    return turned


def _with_shift(linear: Floats, shift: Floats) -> Floats:
    return np.concatenate([linear, shift[:, :, None]], 2)

"""Crops: one person each, at the network's input size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hwtickets.tasks.augmentation import normalise
from hwtickets.tasks.images import fill_in_threads
from hwtickets.tasks.keypoints.affine import crop_matrices, inverse, mapped
from hwtickets.tasks.keypoints.persons import Images

LARGEST_SCALING = 0.35
LARGEST_TURN_DEGREES = 45.0
"""Both: Sun et al., Deep high-resolution representation learning for human pose estimation (2019), 4.1."""
MIRRORED_SHARE = 0.5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training images, as in HRNet's public settings."""


def random_matrices(
    boxes: NDArray[np.float64], size: tuple[int, int], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Maps to crops that are scaled, turned and mirrored at random.

    Args:
        boxes: Left, top, width and height in pixels, (B, 4).
        size: Height and width of a crop, in pixels.
        generator: Draws them.

    Returns:
        The maps (B, 2, 3), and which of them mirror (B,).
    """
    count = len(boxes)
    enlarged = generator.uniform(1 - LARGEST_SCALING, 1 + LARGEST_SCALING, count)
    degrees = generator.uniform(-LARGEST_TURN_DEGREES, LARGEST_TURN_DEGREES, count)
    mirrored = generator.random(count) < MIRRORED_SHARE
    return crop_matrices(boxes, size, enlarged, degrees, mirrored), mirrored


def crops_of(
    images: Images, numbers: NDArray[np.int64], matrices: NDArray[np.float64], size: tuple[int, int]
) -> Tensor:
    """Crops as a network sees them, in their order; what lies outside an image is black.

    Args:
        images: The pictures.
        numbers: Which picture each crop is of, (B,).
        matrices: From that picture to the crop, (B, 2, 3).
        size: Height and width of a crop, in pixels.

    Returns:
        Normalised, float32 (B, 3, height, width), channels last in memory.

    Raises:
        HwticketsError: A file is not an image; the message names it.
    """
    crops = np.empty((len(numbers), *size, 3), dtype=np.uint8)
    back = inverse(matrices)
    fill_in_threads(crops, lambda row: _cut(images.picture(int(numbers[row])), back[row], size))
    return normalise(crops, torch.tensor(MEAN), torch.tensor(STD))


def moved_joints(
    joints: NDArray[np.float64],
    matrices: NDArray[np.float64],
    size: tuple[int, int],
    mirrored: NDArray[np.bool_],
    partners: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Joints of images as targets of crops.

    Args:
        joints: x, y in pixels and whether that is known, (B, K, 3).
        matrices: From the images to the crops, (B, 2, 3).
        size: Height and width of a crop, in pixels.
        mirrored: Which of the maps mirror, (B,).
        partners: Joint that each one is in a mirror, (K,).

    Returns:
        x, y in crop pixels, and 1 where the joint is known and on the crop, otherwise 0; (B, K, 3).
    """
    points = mapped(matrices, joints[..., :2])
    on_crop = ((points > -0.5) & (points < np.array(size[::-1]) - 0.5)).all(2)
    targets = np.concatenate([points, ((joints[..., 2] > 0) & on_crop)[..., None]], 2)
    targets[mirrored] = targets[mirrored][:, partners]
    return targets.astype(np.float32)


def _cut(picture: Image.Image, back: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    # Pillow counts from the pixels' edges, which are half a pixel before their centres.
    shift = back[:, 2] + 0.5 - back[:, :2].sum(1) / 2
    coefficients = (*back[0, :2], shift[0], *back[1, :2], shift[1])
    crop = picture.transform((width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(crop)

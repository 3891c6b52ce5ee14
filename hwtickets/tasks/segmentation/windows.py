"""What a network sees of a scene: one window, cut alike out of the image and its labels.

Own code in Pillow: a library for it would bring OpenCV along, and one resampling of the window alone is less
work than scaling, padding, cropping and mirroring the whole image one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hwtickets.tasks.segmentation.scenes import Scene


@dataclass(frozen=True)
class Window:
    """Where in a scene a window is, whatever the size of the image.

    Attributes:
        scale: How large the scene is drawn; at 1 it just fits into the window.
        across: How far the window is to the right, 0 to 1; where the scene is narrower, it is at the left.
        down: How far it is down, 0 to 1.
        mirrored: Left to right.
    """

    scale: float
    across: float
    down: float
    mirrored: bool


WHOLE = Window(1.0, 0.0, 0.0, False)
"""All of the scene: what a network sees when it is scored, and on the device."""


def random_window(
    generator: np.random.Generator, smallest_scale: float = 0.5, largest_scale: float = 2.0
) -> Window:
    """A window for training: scale and place evenly drawn, every other one mirrored.

    Args:
        generator: Draws it.
        smallest_scale: Of the scene.
        largest_scale: Of the scene.

    Source: Zhao et al., Pyramid Scene Parsing Network (2017), section 4.1, for the range of scales.
    """
    scale, across, down, side = generator.random(4).tolist()
    return Window(smallest_scale + (largest_scale - smallest_scale) * scale, across, down, side < 0.5)


def cut(
    scene: Scene, window: Window, resolution: tuple[int, int], filling: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Cuts a window out of a scene: the image bilinearly, the labels by the nearest pixel.

    Args:
        scene: With C channels.
        window: Where.
        resolution: Height and width of the window, in pixels.
        filling: Colour and class of what lies outside of the scene, (C + 1,).

    Returns:
        The image and, as the last channel, its labels: (H, W, C + 1).
    """
    height, width = resolution
    scale = window.scale * min(height / scene.image.height, width / scene.image.width)
    left, right, columns = _shown(scene.image.width, scale, width, window.across)
    top, bottom, rows = _shown(scene.image.height, scale, height, window.down)
    size, box = (columns, rows), (left, top, right, bottom)
    image = scene.image.resize(size, Image.Resampling.BILINEAR, box)
    labels = scene.labels.resize(size, Image.Resampling.NEAREST, box)
    pixels = np.empty((height, width, len(filling)), np.uint8)
    pixels[:] = filling
    pixels[:rows, :columns, :-1] = np.asarray(image).reshape(rows, columns, -1)
    pixels[:rows, :columns, -1] = np.asarray(labels)
    return pixels[:, ::-1] if window.mirrored else pixels


def _shown(size: int, scale: float, wanted: int, share: float) -> tuple[float, float, int]:
    """Begin and end of what a window shows of one side of the image, and how many pixels it is drawn with."""
    drawn = max(1, round(size * scale))
    count = min(wanted, drawn)
    start = round(share * (drawn - count))
    return start * size / drawn, min(size, (start + count) * size / drawn), count

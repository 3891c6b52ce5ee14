"""A made-up data set: stick figures in random poses among clutter, each with 13 named joints.

The figures face the viewer, so that their left is on the image's right; left and right limbs look alike and
are told apart by where they are attached. A picture depends on its split and number alone: fewer figures are
the first ones of more, and runs with different seeds learn from and are scored on the same ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hwtickets.tasks.keypoints.persons import DrawnImages, PersonData, Persons, PersonSplit
from hwtickets.tasks.keypoints.skeleton import Skeleton

SIDES = ("left", "right")
PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["head", *(f"{side}_{part}" for part in PARTS for side in SIDES)]
LIMBS = [(side, *parts) for side in SIDES for parts in (PARTS[:3], PARTS[3:])]

SHOULDER_HALF, HIP_HALF, TORSO, NECK, HEAD_RADIUS = 0.11, 0.08, 0.3, 0.13, 0.07
ARM, THIGH, SHIN = 0.17, 0.23, 0.22
"""Lengths as shares of a figure's height, about."""
ARM_DEGREES, ELBOW_DEGREES = (-10, 170), (-20, 100)
THIGH_DEGREES, KNEE_DEGREES = (-5, 85), (-90, 10)
"""Outwards from straight down; the lower limb's against the upper one."""
LARGEST_LEAN_DEGREES = 60
LARGEST_SHARE, SMALLEST_SHARE = 0.9, 0.6
"""Of the image that a figure fills in its tighter direction."""
HELD_SHARE = 1 / 4
"""Validation and test figures for each training figure."""
DATA_SEED = 7


def draw_figures(name: str, count: int, size: tuple[int, int]) -> PersonData:
    """Draws all three splits.

    Args:
        name: The specification that they were asked for by.
        count: Training figures; validation and test get a quarter of it each.
        size: Height and width of a picture, in pixels.
    """
    held = max(1, round(HELD_SHARE * count))
    parts = (count, held, held)
    train, validation, test = (_split(number, figures, size) for number, figures in enumerate(parts))
    return PersonData(name, Skeleton.of(NAMES, "figures"), train, validation, test, size)


def draw_figure(
    generator: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """One figure among clutter.

    Args:
        generator: Draws pose, place, colours and clutter.
        size: Height and width of the picture, in pixels.

    Returns:
        The picture (H, W, 3); x and y of the joints in pixels (13, 2); its box: left, top, width, height.
    """
    height, width = size
    shape = _pose(generator)
    low, high = shape.min(0) - HEAD_RADIUS, shape.max(0) + HEAD_RADIUS
    zoom = generator.uniform(SMALLEST_SHARE, LARGEST_SHARE) * np.min((width, height) / (high - low))
    extent = zoom * (high - low)
    corner = generator.uniform(0, 1, 2) * ((width, height) - extent)
    joints = corner + zoom * (shape - low)
    picture, dark = _background(generator, size)
    draw = ImageDraw.Draw(picture)
    for _ in range(generator.integers(4, 9)):
        _clutter(draw, generator, size)
    _figure(draw, generator, joints, zoom, dark)
    return np.asarray(picture), joints - 0.5, np.concatenate([corner, extent])


def _split(number: int, count: int, size: tuple[int, int]) -> PersonSplit:
    pixels = np.empty((count, *size, 3), dtype=np.uint8)
    joints, boxes = np.full((count, len(NAMES), 3), 2.0), np.empty((count, 4))
    for row in range(count):
        generator = np.random.default_rng([DATA_SEED, number, row])
        pixels[row], joints[row, :, :2], boxes[row] = draw_figure(generator, size)
    areas = boxes[:, 2] * boxes[:, 3]
    truth = Persons(np.arange(count), boxes, joints, areas, np.zeros(count, dtype=np.bool_))
    return PersonSplit(DrawnImages(pixels), truth)


def _pose(generator: np.random.Generator) -> NDArray[np.float64]:
    """Joints of a figure about 1 high in the order of `NAMES`, downwards from its neck, (13, 2)."""
    places = {"head": np.array([0.0, -NECK])}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        places[f"{side}_shoulder"] = np.array([sign * SHOULDER_HALF, 0.0])
        places[f"{side}_hip"] = np.array([sign * HIP_HALF, TORSO])
        upper, lower = generator.uniform(*ARM_DEGREES), generator.uniform(*ELBOW_DEGREES)
        places[f"{side}_elbow"] = places[f"{side}_shoulder"] + ARM * _outwards(upper, sign)
        places[f"{side}_wrist"] = places[f"{side}_elbow"] + ARM * _outwards(upper + lower, sign)
        upper, lower = generator.uniform(*THIGH_DEGREES), generator.uniform(*KNEE_DEGREES)
        places[f"{side}_knee"] = places[f"{side}_hip"] + THIGH * _outwards(upper, sign)
        places[f"{side}_ankle"] = places[f"{side}_knee"] + SHIN * _outwards(upper + lower, sign)
    lean = np.radians(generator.uniform(-LARGEST_LEAN_DEGREES, LARGEST_LEAN_DEGREES))
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    joints: NDArray[np.float64] = np.stack([places[name] for name in NAMES]) @ turn
    return joints


def _outwards(degrees: float, sign: int) -> NDArray[np.float64]:
    angle = np.radians(degrees)
    return np.array([sign * np.sin(angle), np.cos(angle)])


def _background(generator: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, bool]:
    """A noisy gradient, and whether it is dark."""
    dark = bool(generator.random() < 0.5)
    shade = generator.uniform(20, 90, 3) if dark else generator.uniform(165, 235, 3)
    slope = generator.uniform(-25, 25, 3) * np.linspace(-1, 1, size[0])[:, None]
    noise = generator.normal(0, 6, (*size, 3))
    pixels = np.clip(shade + slope[:, None] + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels), dark


def _clutter(draw: ImageDraw.ImageDraw, generator: np.random.Generator, size: tuple[int, int]) -> None:
    height, width = size
    color = _color(generator, 40, 215)
    (x0, y0), (x1, y1) = generator.uniform(-0.1, 1.1, (2, 2)) * (width, height)
    if generator.random() < 0.5:
        draw.line((x0, y0, x1, y1), color, max(1, round(0.02 * height)))
        return
    reach = generator.uniform(0.02, 0.12, 2) * (width, height)
    shape = draw.ellipse if generator.random() < 0.5 else draw.rectangle
    shape((x0 - reach[0], y0 - reach[1], x0 + reach[0], y0 + reach[1]), fill=color)


def _figure(
    draw: ImageDraw.ImageDraw,
    generator: np.random.Generator,
    joints: NDArray[np.float64],
    zoom: float,
    dark: bool,
) -> None:
    places = {name: (float(x), float(y)) for name, (x, y) in zip(NAMES, joints, strict=True)}
    shades = (150, 255) if dark else (0, 110)
    body, limbs, skin = (_color(generator, *shades) for _ in range(3))
    thickness = max(1, round(0.06 * zoom))
    corners = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    draw.polygon([places[corner] for corner in corners], body)
    for side, *parts in LIMBS:
        draw.line([places[f"{side}_{part}"] for part in parts], limbs, thickness, "curve")
    x, y = places["head"]
    radius = HEAD_RADIUS * zoom
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=skin)


def _color(generator: np.random.Generator, low: int, high: int) -> Any:
    return tuple(generator.integers(low, high + 1, 3).tolist())

"""Labelled persons on images: what keypoints are learnt from and scored against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hwtickets.tasks.images import open_image
from hwtickets.tasks.keypoints.skeleton import Skeleton

SMALLEST_SIDE = 1.0
"""In pixels: of a thinner box nothing can be cut out."""


class Images(Protocol):
    """Pictures that are asked for by number."""

    def __len__(self) -> int:
        """Number of pictures."""

    def picture(self, index: int) -> Image.Image:
        """One picture, RGB."""


class DrawnImages:
    """Pictures held in memory.

    Args:
        pixels: uint8 (N, H, W, 3).
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def picture(self, index: int) -> Image.Image:
        """One picture, RGB."""
        return Image.fromarray(self.pixels[index])


class ImageFiles:
    """Pictures that are decoded when they are asked for.

    Args:
        paths: One file a picture.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> Image.Image:
        """One picture, RGB; a file that is no image is an error that names it."""
        return open_image(self.paths[index], "RGB")


@dataclass(frozen=True, eq=False)
class Boxes:
    """Where persons are, on which image, and how sure that is.

    Attributes:
        images: Number of the image, int64 (N,).
        boxes: Left, top, width and height in pixels, (N, 4).
        scores: From 0 to 1, (N,).
    """

    images: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)

    def on(self, images: Sequence[int]) -> Boxes:
        """Those that can be cut out of these images, which are then numbered in the order given."""
        rows, numbers = _renumbered(self.images, images)
        wide = _wide_enough(self.boxes[rows])
        return Boxes(numbers[wide], self.boxes[rows][wide], self.scores[rows][wide])


@dataclass(frozen=True, eq=False)
class Persons:
    """Labelled persons, or crowds.

    Attributes:
        images: Number of the image, int64 (N,).
        boxes: Left, top, width and height in pixels, (N, 4).
        joints: x and y in pixels and whether that is known (0: no, 1: covered, 2: seen), (N, K, 3).
        areas: Of the person in square pixels, (N,).
        crowd: Whether several persons are labelled as one, bool (N,).
    """

    images: NDArray[np.int64]
    boxes: NDArray[np.float64]
    joints: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def taken(self, rows: NDArray[Any]) -> Persons:
        """Those at these rows (numbers or a mask)."""
        return Persons(*(getattr(self, field.name)[rows] for field in fields(self)))

    def on(self, images: Sequence[int]) -> Persons:
        """Those on these images, which are then numbered in the order given."""
        rows, numbers = _renumbered(self.images, images)
        return replace(self.taken(rows), images=numbers)

    def usable(self) -> NDArray[np.bool_]:
        """Which of them are single persons with a joint, an area and a box: what a crop is made of, (N,)."""
        labelled = (self.joints[..., 2] > 0).any(1)
        usable: NDArray[np.bool_] = labelled & _wide_enough(self.boxes) & (self.areas > 0) & ~self.crowd
        return usable


@dataclass(frozen=True, eq=False)
class PersonSplit:
    """One split.

    Attributes:
        images: Its pictures.
        truth: Everything that is labelled on them, with what can only be ignored.
        detections: Boxes of a detector that are scored instead of the labelled ones.
    """

    images: Images
    truth: Persons
    detections: Boxes | None = None

    @cached_property
    def persons(self) -> Persons:
        """Who can be learnt from."""
        return self.truth.taken(self.truth.usable())

    @property
    def candidates(self) -> Boxes:
        """The boxes that are scored."""
        if self.detections is not None:
            return self.detections
        return Boxes(self.persons.images, self.persons.boxes, np.ones(len(self.persons)))


@dataclass(frozen=True, eq=False)
class PersonData:
    """A keypoint data set.

    Attributes:
        name: The specification that it was loaded by.
        skeleton: The joints of every person.
        train: What weights are learnt from.
        validation: What choices are made on.
        test: Touched once, at the end.
        resolution: Height and width in pixels of the inputs where nothing else is asked for.
    """

    name: str
    skeleton: Skeleton
    train: PersonSplit
    validation: PersonSplit
    test: PersonSplit
    resolution: tuple[int, int]


def _renumbered(
    images: NDArray[np.int64], chosen: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose image is among the chosen ones, and its place among them."""
    places = {image: place for place, image in enumerate(chosen)}
    found = [(row, places[image]) for row, image in enumerate(images.tolist()) if image in places]
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _wide_enough(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    wide: NDArray[np.bool_] = boxes[:, 2:].min(1) >= SMALLEST_SIDE
    return wide

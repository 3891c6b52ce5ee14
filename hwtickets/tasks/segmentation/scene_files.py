"""The files of a segmentation data set, and how images and label maps are paired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwtickets.errors import UsageError
from hwtickets.tasks.segmentation.label_maps import LabelIds
from hwtickets.tasks.segmentation.scenes import Pair

VALIDATION_SHARE = 1 / 10


@dataclass(frozen=True)
class SceneFiles:
    """What a layout found in its folder.

    Attributes:
        train: What weights are learnt from.
        validation: What choices are made on.
        test: Touched once, at the end.
        ids: What the label maps hold.
        classes: Name of every class.
        resolution: Height and width that the data is used at where nobody asks for another; None for that of
            its images.
    """

    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]
    ids: LabelIds
    classes: Sequence[str]
    resolution: tuple[int, int] | None = None


def files_in(folder: Path) -> list[Path]:
    """The files of a folder by name, without hidden ones.

    Raises:
        UsageError: The folder is missing or holds none.
    """
    if not folder.is_dir():
        raise UsageError(f"folder {folder} does not exist.")
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise UsageError(f"folder {folder} holds no files.")
    return found


def pairs_of(images: Path, labels: Path) -> list[Pair]:
    """Every image of one folder with the label map of the same name, NAME.png, of the other.

    Raises:
        UsageError: A folder is missing or empty, or an image has no label map.
    """
    files_in(labels)
    return paired(files_in(images), lambda image: labels / f"{image.stem}.png")


def paired(images: Iterable[Path], labels_of: Callable[[Path], Path]) -> list[Pair]:
    """Every image with its label map.

    Raises:
        UsageError: An image has none; the message names both.
    """
    pairs = [Pair(image, labels_of(image)) for image in images]
    for image, labels in pairs:
        if not labels.is_file():
            raise UsageError(f"image {image} has no label map: {labels} does not exist.")
    return pairs


def hold_out(pairs: Sequence[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Parts the training images where a data set has no labelled test images: a tenth is for validation.

    Args:
        pairs: At least two.
        seed: Chooses which.

    Returns:
        The rest, and the part held out; both in the old order.
    """
    if len(pairs) < 2:
        raise UsageError(
            f"{pairs[0].image.parent} holds 1 image; with no test folder, one more is needed for validation."
        )
    count = max(1, round(VALIDATION_SHARE * len(pairs)))
    held = set(np.random.default_rng(seed).choice(len(pairs), count, replace=False).tolist())
    rest = [pair for index, pair in enumerate(pairs) if index not in held]
    return rest, [pairs[index] for index in sorted(held)]

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CLASSES = ["ground", "box", "ball"]
COLOURS = np.array([[60, 90, 60], [220, 60, 60], [60, 60, 220]])

Pixels = NDArray[np.uint8]


def drawn(seed: int, height: int, width: int) -> tuple[Pixels, Pixels]:
    """A box and a ball on the ground, in noise: the image (H, W, 3) and the class of every pixel (H, W)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.uint8)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    labels[top : top + height // 2, left : left + width // 3] = 1
    middle, radius = rng.integers(0, (height, width)), height / 4
    labels[(rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2] = 2
    image = COLOURS[labels] + rng.integers(-25, 26, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8), labels


def save(image: Path, labels: Path, seed: int, size: tuple[int, int], ids: Mapping[int, int]) -> None:
    """Writes one drawn scene, its classes as these ids; the first row of the labels is `ids[-1]`, if any."""
    pixels, classes = drawn(seed, *size)
    numbers = np.array([ids[label] for label in range(len(CLASSES))], np.uint8)[classes]
    numbers[0] = ids.get(-1, numbers[0])
    for path, content in ((image, pixels), (labels, numbers)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path)


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Four scenes for training, two for validation, three for the test; 20x28 pixels."""
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        for index in range(count):
            image, labels = (tmp_path / folder / f"{index}" for folder in (part, f"{part}annot"))
            save(
                image.with_suffix(".jpg"),
                labels.with_suffix(".png"),
                index,
                (20, 28),
                {0: 3, 1: 8, 2: 9, -1: 11},
            )
    return tmp_path


@pytest.fixture
def cityscapes(tmp_path: Path) -> Callable[..., Path]:
    """Writes scenes of two cities for training and one for validation, and the files that nobody reads."""

    def write(ending: str = "labelIds", ids: Mapping[int, int] | None = None) -> Path:
        for part, city, count in (("train", "ulm", 6), ("train", "bonn", 5), ("val", "koeln", 3)):
            for index in range(count):
                name = f"{city}_{index:06}_000019"
                image = tmp_path / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png"
                labels = tmp_path / "gtFine" / part / city / f"{name}_gtFine_{ending}.png"
                save(image, labels, index, (16, 32), ids or {0: 7, 1: 26, 2: 24, -1: 3})
                labels.with_name(f"{name}_gtFine_polygons.json").write_text("{}")
        return tmp_path

    return write


@pytest.fixture
def ade20k(tmp_path: Path) -> Path:
    """Scenes of two sizes: 12 for training, 3 for validation."""
    for part, count in (("training", 12), ("validation", 3)):
        for index in range(count):
            image, labels = (tmp_path / kind / part / f"ADE_{index}" for kind in ("images", "annotations"))
            size = (24, 32) if index % 2 else (40, 30)
            save(
                image.with_suffix(".jpg"),
                labels.with_suffix(".png"),
                index,
                size,
                {0: 1, 1: 2, 2: 150, -1: 0},
            )
    return tmp_path


@pytest.fixture
def masks(tmp_path: Path) -> Callable[..., Path]:
    """Writes images/PART/N.png with masks/PART/N.png and returns their folder."""

    def write(**options: Any) -> Path:
        return _write_masks(tmp_path / "scenes", **options)

    return write


@pytest.fixture(scope="session")
def write_masks() -> Callable[..., Path]:
    """The same into any folder."""
    return _write_masks


def _write_masks(
    folder: Path, parts: Mapping[str, int] | None = None, size: tuple[int, int] = (24, 32), mode: str = "RGB"
) -> Path:
    """Scenes of three classes in the layout of any image and mask folder, 10 and 4 of them by default."""
    for first, (part, count) in enumerate((parts or {"train": 10, "val": 4}).items()):
        for index in range(count):
            image, labels = (folder / kind / part / f"{index:02}.png" for kind in ("images", "masks"))
            save(image, labels, 100 * first + index, size, {0: 0, 1: 1, 2: 2, -1: 255})
            Image.open(image).convert(mode).save(image)
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return folder

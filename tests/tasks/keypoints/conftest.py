from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

JOINTS = ["nose", "left_eye", "right_eye", "left_foot", "right_foot"]


def _person(number: int, image: int, **changes: Any) -> dict[str, Any]:
    """An annotation whose joints lie on the diagonal of its box, unless something else is asked for."""
    left, top = 4.0 + number, 6.0
    points = [[left + 4 * joint, top + 6 * joint, 2] for joint in range(len(JOINTS))]
    return {
        "id": number,
        "image_id": image,
        "category_id": 3,
        "bbox": [left - 2, top - 2, 20.0, 28.0],
        "area": 300.0,
        "iscrowd": 0,
        "keypoints": [value for point in points for value in point],
        **changes,
    }


def _content(images: range, persons: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "images": [{"id": image, "file_name": f"{image:04}.png"} for image in images],
        "categories": [{"id": 1, "name": "dog"}, {"id": 3, "name": "person", "keypoints": JOINTS}],
        "annotations": persons,
    }


@pytest.fixture
def person() -> Callable[..., dict[str, Any]]:
    """Makes an annotation by its number and that of its image."""
    return _person


@pytest.fixture
def write_coco() -> Callable[..., Path]:
    """Writes a file of labels, with an own image for each of its numbers, and returns the file."""

    def write(path: Path, folder: Path, images: range, persons: list[dict[str, Any]] | None = None) -> Path:
        rng = np.random.default_rng(images.start)
        folder.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        for image in images:
            pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{image:04}.png")
        each = [_person(image, image) for image in images]
        path.write_text(json.dumps(_content(images, each if persons is None else persons)))
        return path

    return write


@pytest.fixture
def coco_folder(tmp_path: Path, write_coco: Callable[..., Path]) -> Path:
    """The layout of COCO: twelve training images and four more, with one person each."""
    folder = tmp_path / "coco"
    for part, images in (("train", range(10, 22)), ("val", range(30, 34))):
        labels = folder / "annotations" / f"person_keypoints_{part}2017.json"
        write_coco(labels, folder / f"{part}2017", images)
    return folder

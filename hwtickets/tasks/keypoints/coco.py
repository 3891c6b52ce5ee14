"""Reads persons and detections from JSON files as COCO writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets import files
from hwtickets.errors import HwticketsError
from hwtickets.tasks.keypoints.persons import Boxes, Persons
from hwtickets.tasks.keypoints.skeleton import Skeleton

LARGEST_NUMBER = 1e9
"""No pixel lies further out and no person is larger, in pixels and square pixels: beyond it, damage."""

ImageId = int | str


@dataclass(frozen=True, eq=False)
class CocoFile:
    """One file of labelled persons.

    Attributes:
        path: The file.
        category: Number of the kind of things whose keypoints are labelled.
        skeleton: Their joints.
        image_ids: What the file calls every image.
        names: File of every image, relative to the folder of images.
        persons: Everything labelled; their images are numbered as in `names`.
        annotation_ids: What the file calls every person.
    """

    path: Path
    category: int
    skeleton: Skeleton
    image_ids: list[ImageId]
    names: list[str]
    persons: Persons
    annotation_ids: list[Any]


def read_persons(path: Path) -> CocoFile:
    """The persons of a COCO-format file.

    The file needs `images` (id, file_name), one entry of `categories` with `keypoints` (the joints' names),
    and `annotations` (id, image_id, category_id, bbox, and keypoints as x, y, visibility); an annotation
    without `area` has that of its box, one without `iscrowd` is a single person.

    Raises:
        HwticketsError: The file is missing or damaged; the message names the first wrong entry.
    """
    content = _read(path, "COCO-format file")
    images, categories, annotations = (
        _entries(content, key, path) for key in ("images", "categories", "annotations")
    )
    image_ids = [_identity(image, "id", f"{path}: image {row}") for row, image in enumerate(images)]
    numbers = {image: row for row, image in enumerate(image_ids)}
    if len(numbers) < len(image_ids):
        raise HwticketsError(f"{path}: two images have the same id.")
    category, skeleton = _category(categories, path)
    chosen = [
        (f"{path}: annotation {entry.get('id', f'number {row}')}", entry)
        for row, entry in enumerate(annotations)
        if entry.get("category_id") == category
    ]
    names = [_name(image, f"{path}: image {image['id']}") for image in images]
    persons = _persons(chosen, numbers, len(skeleton.names))
    annotation_ids = [entry.get("id") for _, entry in chosen]
    return CocoFile(path, category, skeleton, image_ids, names, persons, annotation_ids)


def read_detections(path: Path, labels: CocoFile) -> Boxes:
    """Boxes of persons that a detector found, on the images that a file of labels knows.

    Args:
        path: A list of image_id, category_id, bbox and score, as detectors write results for COCO.
        labels: Says what the images are called and which category counts.

    Raises:
        HwticketsError: The file is missing or damaged, or has no box on any of the images.
    """
    content = _read(path, "file of detections")
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise HwticketsError(f"{path} must hold a list of detections: image_id, category_id, bbox, score.")
    numbers = {image: row for row, image in enumerate(labels.image_ids)}
    images, boxes, scores = [], [], []
    for row, entry in enumerate(content):
        where = f"{path}: detection {row}"
        image = numbers.get(_identity(entry, "image_id", where))
        if image is None or entry.get("category_id") != labels.category:
            continue
        images.append(image)
        boxes.append(_numbers(entry.get("bbox"), 4, "bbox", where))
        scores.append(_number(entry.get("score"), "score", where))
    if not images:
        raise HwticketsError(
            f"{path} holds no box of category {labels.category} on an image of {labels.path}."
        )
    return Boxes(np.array(images, dtype=np.int64), np.stack(boxes), np.array(scores))


def _read(path: Path, what: str) -> Any:
    try:
        return files.read_json(path, what)
    except RecursionError as error:
        raise HwticketsError(f"the {what} {path} is damaged: it is nested too deeply") from error


def _entries(content: Any, key: str, path: Path) -> list[dict[str, Any]]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise HwticketsError(
            f"{path} has no list of {key}; a COCO-format file has images, categories and annotations."
        )
    if not entries:
        raise HwticketsError(f"{path}: the list of {key} is empty.")
    return entries


def _category(categories: Sequence[dict[str, Any]], path: Path) -> tuple[int, Skeleton]:
    labelled = [category for category in categories if category.get("keypoints")]
    if len(labelled) != 1:
        raise HwticketsError(
            f"{path}: {len(labelled)} categories have keypoints, and it must be one; in COCO it is in "
            "person_keypoints_*.json."
        )
    names, number = labelled[0]["keypoints"], labelled[0].get("id")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HwticketsError(f"{path}: the keypoints of category {number} must be a list of names.")
    if not isinstance(number, int):
        raise HwticketsError(f"{path}: the category with keypoints has no number as its id.")
    return number, Skeleton.of(names, f"{path}: category {number}")


def _persons(
    entries: Sequence[tuple[str, dict[str, Any]]], numbers: dict[ImageId, int], joints: int
) -> Persons:
    images = np.empty(len(entries), dtype=np.int64)
    boxes, areas = np.empty((len(entries), 4)), np.empty(len(entries))
    points, crowd = np.empty((len(entries), joints, 3)), np.empty(len(entries), dtype=np.bool_)
    for row, (where, entry) in enumerate(entries):
        image = _identity(entry, "image_id", where)
        if image not in numbers:
            raise HwticketsError(f"{where}: there is no image with id {image}.")
        images[row] = numbers[image]
        boxes[row] = _numbers(entry.get("bbox"), 4, "bbox", where)
        points[row] = _numbers(entry.get("keypoints"), 3 * joints, "keypoints", where).reshape(joints, 3)
        areas[row] = _number(entry.get("area", boxes[row, 2] * boxes[row, 3]), "area", where)
        if areas[row] < 0:
            raise HwticketsError(f"{where}: area must not be negative, and is {areas[row]:g}.")
        crowd[row] = bool(entry.get("iscrowd", 0))
    return Persons(images, boxes, points, areas, crowd)


def _identity(entry: dict[str, Any], key: str, where: str) -> ImageId:
    value = entry.get(key)
    if not isinstance(value, int | str):
        raise HwticketsError(f"{where}: {key} must be a number or a text, not {_short(value)}.")
    return value


def _name(image: dict[str, Any], where: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise HwticketsError(f"{where}: file_name must be the name of a file, not {_short(name)}.")
    return name


def _numbers(given: Any, count: int, key: str, where: str) -> NDArray[np.float64]:
    values = _floats(given)
    if values.shape == (count,) and _sensible(values):
        return values
    size = f"{len(given)}" if isinstance(given, list) and len(given) != count else _short(given)
    raise HwticketsError(f"{where}: {key} must be {count} finite numbers, not {size}.")


def _number(given: Any, key: str, where: str) -> float:
    value = _floats(given)
    if value.shape == () and _sensible(value):
        return float(value)
    raise HwticketsError(f"{where}: {key} must be a finite number, not {_short(given)}.")


def _floats(given: Any) -> NDArray[np.float64]:
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.full((), np.nan)


def _sensible(values: NDArray[np.float64]) -> bool:
    return bool((np.abs(values) <= LARGEST_NUMBER).all())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

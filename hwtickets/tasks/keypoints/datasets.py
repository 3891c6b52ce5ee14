"""Keypoint data by name: what `--data` understands for this task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks.keypoints.coco import CocoFile, read_detections, read_persons
from hwtickets.tasks.keypoints.figures import draw_figures
from hwtickets.tasks.keypoints.persons import ImageFiles, PersonData, PersonSplit
from hwtickets.tasks.specification import data_folder

COCO_RESOLUTION = (256, 192)
FIGURES_RESOLUTION = (96, 96)
TRAINING_FIGURES = 2_000
SHARE = 1 / 10
"""Of the images, for validation, and for the test where one file is all there is."""
MOST_HELD_IMAGES = 2_000


def load_persons(spec: str, resolution: tuple[int, int] | None = None, seed: int = 0) -> PersonData:
    """Loads a keypoint data set.

    Args:
        spec: "figures" or "figures:N" (made up; N for training), "coco:DIR" or "coco-file:JSON"; with
            ",boxes=JSON" behind it, the latter two score the boxes of a detector on the test images.
        resolution: Height and width that figures are drawn for, in pixels; None is 96x96.
        seed: Chooses the validation images where the data has none of its own.

    Raises:
        UsageError: The name is unknown, or a file or folder is missing.
        HwticketsError: A file is damaged.
    """
    kind, _, rest = spec.partition(":")
    if kind == "figures":
        return draw_figures(spec, _figure_count(rest, spec), resolution or FIGURES_RESOLUTION)
    place, asked, boxes = spec.partition(",boxes=")
    if asked and not boxes:
        raise UsageError(f"data '{spec}': name the detector's results, as in {place},boxes=results.json.")
    detections = Path(boxes).expanduser() if boxes else None
    if kind == "coco-file" and rest:
        return _from_one_file(spec, Path(place.partition(":")[2]).expanduser(), detections, seed)
    others = ["figures", "figures:N", "coco-file:JSON"]
    return _from_folder(spec, data_folder(place, ["coco"], "keypoints", others)[1], detections, seed)


class _Labelled:
    """A file of labels with its folder of images."""

    def __init__(self, path: Path, folders: Sequence[Path]) -> None:
        self.file = read_persons(path)
        self.usable = self._usable_images()
        self.folder = self._folder_of_images(folders)

    def split(self, images: Sequence[int], detections: Path | None = None) -> PersonSplit:
        """Some of the images, their persons, and a detector's boxes on them."""
        boxes = read_detections(detections, self.file).on(images) if detections else None
        if boxes is not None and not len(boxes):
            raise UsageError(f"{detections} holds no boxes on the test images of {self.file.path}.")
        paths = [self.folder / self.file.names[image] for image in images]
        for image, path in zip(images, paths, strict=True):
            if not path.is_file():
                raise HwticketsError(f"image {path} is missing; {self._named(image)} needs it.")
        return PersonSplit(ImageFiles(paths), self.file.persons.on(images), boxes)

    def scored(self, detections: Path | None = None) -> PersonSplit:
        """All images that count in a score: those with labels, for a detector also those that show nobody."""
        labelled = np.unique(self.file.persons.images).tolist()
        return self.split(range(len(self.file.names)) if detections else labelled, detections)

    def shuffled(self, key: str, images: Sequence[int] | None = None) -> list[int]:
        """Images, or all with usable persons, in an order that depends on the key and their ids alone."""

        def place(image: int) -> bytes:
            return hashlib.sha256(f"{key}:{self.file.image_ids[image]}".encode()).digest()

        return sorted(self.usable if images is None else images, key=place)

    def _usable_images(self) -> list[int]:
        persons = self.file.persons
        usable = np.unique(persons.images[persons.usable()]).tolist()
        if not usable:
            raise HwticketsError(f"{self.file.path} labels no single person with joints, a box and an area.")
        return [int(image) for image in usable]

    def _folder_of_images(self, folders: Sequence[Path]) -> Path:
        first = self.usable[0]
        for folder in folders:
            if (folder / self.file.names[first]).is_file():
                return folder
        raise UsageError(
            f"image {self.file.names[first]} is in none of {', '.join(map(str, folders))}; "
            f"{self._named(first)} needs it."
        )

    def _named(self, image: int) -> str:
        rows = np.flatnonzero(self.file.persons.images == image).tolist()
        wanted = (
            f"annotation {self.file.annotation_ids[rows[0]]}"
            if rows
            else f"image {self.file.image_ids[image]}"
        )
        return f"{wanted} of {self.file.path}"


def _from_folder(name: str, folder: Path, detections: Path | None, seed: int) -> PersonData:
    train, val = (_part(folder, part) for part in ("train", "val"))
    _check_same_joints(train.file, val.file)
    if not _label_files(folder, "test"):
        held, kept = _parted(train.shuffled(f"validation {seed}"), train.file.path)
        parts = train.split(kept), train.split(held), val.scored(detections)
        return PersonData(name, train.file.skeleton, *parts, COCO_RESOLUTION)
    last = _part(folder, "test")
    _check_same_joints(train.file, last.file)
    parts = train.split(train.usable), val.scored(), last.scored(detections)
    return PersonData(name, train.file.skeleton, *parts, COCO_RESOLUTION)


def _from_one_file(name: str, path: Path, detections: Path | None, seed: int) -> PersonData:
    if not path.is_file():
        raise UsageError(f"file of labels {path} does not exist.")
    parent = path.parent
    labelled = _Labelled(path, [parent, parent / "images", parent.parent / "images", parent.parent])
    # The test images must not change with the seed, or runs could not be compared.
    test, others = _parted(labelled.shuffled("test"), path)
    validation, train = _parted(labelled.shuffled(f"validation {seed}", others), path)
    parts = labelled.split(train), labelled.split(validation), labelled.split(test, detections)
    return PersonData(name, labelled.file.skeleton, *parts, COCO_RESOLUTION)


def _parted(images: Sequence[int], path: Path) -> tuple[list[int], list[int]]:
    """A tenth of the images, and the others; both in the order of the file."""
    if len(images) < 2:
        raise UsageError(f"{path} labels too few images: every split needs one with a person on it.")
    count = min(MOST_HELD_IMAGES, max(1, round(SHARE * len(images))))
    return sorted(images[:count]), sorted(images[count:])


def _part(folder: Path, part: str) -> _Labelled:
    found = _label_files(folder, part)
    if len(found) != 1:
        names = f" ({', '.join(path.name for path in found)})" if found else ""
        raise UsageError(
            f"{folder / 'annotations'} must hold one file of keypoints for {part}, *{part}*.json "
            f"(COCO: person_keypoints_{part}2017.json); there are {len(found)}{names}."
        )
    own = [
        path
        for parent in (folder, folder / "images")
        for path in sorted(parent.glob(f"*{part}*"))
        if path.is_dir()
    ]
    return _Labelled(found[0], [*own, folder / "images", folder])


def _label_files(folder: Path, part: str) -> list[Path]:
    """Files of labels for a part; where several have its name, those with "keypoints" in theirs."""
    # COCO's lists of images without labels.
    found = [path for path in sorted((folder / "annotations").glob(f"*{part}*.json")) if path.is_file()]
    labelled = [path for path in found if not path.name.startswith("image_info")]
    named = [path for path in labelled if "keypoints" in path.name]
    return named or labelled


def _check_same_joints(one: CocoFile, other: CocoFile) -> None:
    if one.skeleton.names != other.skeleton.names:
        raise UsageError(f"{one.path} and {other.path} label different joints, or in another order.")


def _figure_count(text: str, spec: str) -> int:
    if not text and ":" not in spec:
        return TRAINING_FIGURES
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"data '{spec}': the number of figures must be at least 1, as in figures:500.")
    return int(text)

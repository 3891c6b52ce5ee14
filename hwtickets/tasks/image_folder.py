"""Any folder of images: train/CLASS/*.jpg, val/CLASS/*.jpg and, if there is one, test/CLASS/*.jpg."""

from __future__ import annotations

from pathlib import Path

import torch

from hwtickets.errors import UsageError
from hwtickets.tasks.class_names import class_names
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.images import count_channels
from hwtickets.tasks.splits import ArraySplit, FileSplit, Split, Subset, hold_out

DEFAULT_RESOLUTION = 64
VALIDATION_SHARE = 1 / 10
LARGEST_IN_MEMORY_BYTES = 256 * 2**20


def load_folder(folder: Path, resolution: int | None, seed: int) -> Dataset:
    """Images in class folders, each scaled and cropped to a square.

    Without a test folder (as in ImageNet), `val` is the test split and a tenth of every training class is for
    validation. A list of class names beside the folders is used; see `class_names`.
    Splits of up to 256 MiB are decoded at once, which finds every broken file before training; of larger ones
    only the headers are read, and the images are decoded when they are asked for.

    Args:
        folder: Holds `train` and `val`, both with the same class folders.
        resolution: Side of the images, in pixels; None is 64.
        seed: Chooses which training images become the validation split.

    Raises:
        HwticketsError: A folder is missing or empty, the classes differ, or a file is not an image.
    """
    train_folder = folder / "train"
    classes = _class_folders(train_folder)
    if len(classes) == 1:
        raise UsageError(f"{train_folder} holds one class folder, {classes[0]}; classification needs two.")
    channels = count_channels(_image_paths(train_folder / classes[0])[0])
    side = resolution or DEFAULT_RESOLUTION
    names = class_names(folder, classes)
    train, val = (_split(folder / part, classes, side, channels) for part in ("train", "val"))
    spec = f"folder:{folder}"
    if (folder / "test").is_dir():
        return Dataset.of(spec, train, val, _split(folder / "test", classes, side, channels), names)
    return Dataset.of(spec, *_hold_out(train, train_folder, classes, seed), val, names)


def _hold_out(train: Split, folder: Path, classes: list[str], seed: int) -> tuple[Subset, Subset]:
    counts = torch.bincount(train.labels, minlength=len(classes)).tolist()
    for name, count in zip(classes, counts, strict=True):
        if count < 2:
            raise UsageError(
                f"{folder / name} holds 1 image; without a test folder, one more is needed for validation."
            )
    return hold_out(train, VALIDATION_SHARE, seed)


def _split(folder: Path, classes: list[str], resolution: int, channels: int) -> ArraySplit | FileSplit:
    _check_same_classes(folder, classes)
    paths, labels = [], []
    for label, name in enumerate(classes):
        of_class = _image_paths(folder / name)
        paths += of_class
        labels += [label] * len(of_class)
    split = FileSplit(paths, torch.tensor(labels), resolution, channels)
    if split.size_bytes <= LARGEST_IN_MEMORY_BYTES:
        return split.in_memory()
    for path in paths:
        count_channels(path)
    return split


def _check_same_classes(folder: Path, classes: list[str]) -> None:
    differing = sorted(set(_class_folders(folder)) ^ set(classes))
    if differing:
        raise UsageError(
            f"{folder} and its train folder hold different classes: '{differing[0]}' is in only one of them."
        )


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UsageError(f"image folder {folder} does not exist; expected {folder}/CLASS/*.jpg.")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not _hidden(path))
    if names:
        return names
    if any(not _hidden(path) for path in folder.iterdir()):
        raise UsageError(
            f"{folder} holds files but no class folders; sort its images into {folder}/CLASS"
            " (ImageNet's val comes without, its test has no labels: move that away)."
        )
    raise UsageError(f"{folder} holds no class folders; expected {folder}/CLASS/*.jpg.")


def _image_paths(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not _hidden(path))
    if not paths:
        raise UsageError(f"class folder {folder} is empty; put images there or remove it from every split.")
    return paths


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")

"""Any folder of images: train/CLASS/*.jpg, val/CLASS/*.jpg and, if there is one, test/CLASS/*.jpg."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hwtickets.errors import UsageError
from hwtickets.tasks.class_names import class_names
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.images import CENTRE_SHARE, count_channels
from hwtickets.tasks.splits import ArraySplit, FileSplit, hold_out

DEFAULT_RESOLUTION = 64
VALIDATION_SHARE = 1 / 10
LARGEST_IN_MEMORY_BYTES = 256 * 2**20


def load_folder(folder: Path, resolution: int | None, seed: int, smallest_crop: float) -> Dataset:
    """Images in class folders: a random part of each in training, its middle otherwise, scaled to a square.

    Without a test folder (as in ImageNet), `val` is the test split and a tenth of every training class is for
    validation. A list of class names beside the folders is used; see `class_names`.
    Splits of up to 256 MiB (for training, of whole pictures) are decoded at once, which finds every broken
    file before training; of larger ones only the headers are read, and the images are decoded when they are
    asked for.

    Args:
        folder: Holds `train` and `val`, both with the same class folders.
        resolution: Side of the images, in pixels; None is 64.
        seed: Chooses which training images become the validation split.
        smallest_crop: Share of a picture that training shows at least.

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
    everything, val = (_files(folder / part, classes, side, channels) for part in ("train", "val"))
    shown = torch.arange(len(everything))
    validation, test = val, val
    if (folder / "test").is_dir():
        test = _files(folder / "test", classes, side, channels)
    else:
        shown, held = _hold_out(everything, train_folder, classes, seed)
        validation = everything.taken(held, smallest_crop=1.0)
    train = _pictures(everything.taken(shown, smallest_crop))
    return Dataset.of(f"folder:{folder}", train, _fixed(validation), _fixed(test), names, CENTRE_SHARE)


def _hold_out(train: FileSplit, folder: Path, classes: list[str], seed: int) -> tuple[Tensor, Tensor]:
    counts = torch.bincount(train.labels, minlength=len(classes)).tolist()
    for name, count in zip(classes, counts, strict=True):
        if count < 2:
            raise UsageError(
                f"{folder / name} holds 1 image; without a test folder, one more is needed for validation."
            )
    shown, held = hold_out(train, VALIDATION_SHARE, seed)
    return shown.indices, held.indices


def _files(folder: Path, classes: list[str], resolution: int, channels: int) -> FileSplit:
    _check_same_classes(folder, classes)
    paths, labels = [], []
    for label, name in enumerate(classes):
        of_class = _image_paths(folder / name)
        paths += of_class
        labels += [label] * len(of_class)
    return FileSplit(paths, torch.tensor(labels), resolution, channels)


def _pictures(files: FileSplit) -> FileSplit:
    if files.pictures_bytes <= LARGEST_IN_MEMORY_BYTES:
        files.hold_pictures()
    return files


def _fixed(files: FileSplit) -> ArraySplit | FileSplit:
    if files.size_bytes <= LARGEST_IN_MEMORY_BYTES:
        return files.in_memory()
    for path in files.paths:
        count_channels(path)
    return files


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

"""CIFAR-10: 32x32 colour images in 10 classes (Krizhevsky 2009), in any of three layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks.archives import read_npz
from hwtickets.tasks.cifar10_pickle import read_batch
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.images import decode_bytes, fill_in_threads
from hwtickets.tasks.splits import ArraySplit, hold_out

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAIN_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
TEST_BATCHES = ["test_batch"]
JPEG_ARCHIVE = "cifar10_jpeg.npz"
VALIDATION_SHARE = 1 / 10
"""5,000 of the 50,000 training images."""
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load_folder(folder: Path, resolution: int | None, seed: int) -> Dataset:
    """CIFAR-10 from a folder with the binary layout, the Python layout, or `cifar10_jpeg.npz`.

    Args:
        folder: Holds `data_batch_1.bin` and its siblings, or `data_batch_1` and its, or the archive.
        resolution: Side of the images, in pixels; None keeps 32.
        seed: Chooses which tenth of the training images becomes the validation split.

    Raises:
        HwticketsError: No layout is there, or a file of it is missing or damaged.
    """
    if (folder / "data_batch_1.bin").exists():
        parts = [_joined(folder, names, ".bin", _read_binary) for names in (TRAIN_BATCHES, TEST_BATCHES)]
    elif (folder / "data_batch_1").exists():
        parts = [_joined(folder, names, "", read_batch) for names in (TRAIN_BATCHES, TEST_BATCHES)]
    elif (folder / JPEG_ARCHIVE).exists():
        parts = [_read_jpegs(folder / JPEG_ARCHIVE, part) for part in ("train", "test")]
    else:
        raise UsageError(
            f"no CIFAR-10 in {folder}: it must hold data_batch_1.bin (binary version), "
            f"data_batch_1 (Python version) or {JPEG_ARCHIVE}."
        )
    train, test = (_split(folder, arrays, resolution) for arrays in parts)
    return Dataset.of(f"cifar10:{folder}", *hold_out(train, VALIDATION_SHARE, seed), test, CLASSES)


def _joined(folder: Path, names: Sequence[str], suffix: str, read: Callable[[Path], Arrays]) -> Arrays:
    batches = [read(folder / f"{name}{suffix}") for name in names]
    return np.concatenate([images for images, _ in batches]), np.concatenate(
        [labels for _, labels in batches]
    )


def _read_binary(path: Path) -> Arrays:
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError as error:
        raise HwticketsError(f"{path} is missing.") from error
    if content.size % RECORD_BYTES:
        raise HwticketsError(
            f"{path} is damaged: {content.size} bytes are no multiple of {RECORD_BYTES}; download it again."
        )
    records = content.reshape(-1, RECORD_BYTES)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0].astype(np.int64)


def _read_jpegs(path: Path, part: str) -> Arrays:
    """All images of one part: JPEG byte strings one after the other, and where each begins."""
    arrays = read_npz(path, [f"{part}_jpeg", f"{part}_offsets", f"{part}_labels"])
    encoded, offsets, labels = arrays.values()
    if len(offsets) != len(labels) + 1 or offsets[0] != 0 or offsets[-1] != len(encoded):
        raise HwticketsError(f"{path} is damaged: its {part} offsets do not fit its images and labels.")
    images = np.empty((len(labels), *SHAPE), dtype=np.uint8)

    def decode(index: int) -> NDArray[np.uint8]:
        name = f"{part} image {index} of {path}"
        image = decode_bytes(encoded[offsets[index] : offsets[index + 1]], name)
        if image.shape != SHAPE:
            raise HwticketsError(f"{name} is {image.shape}, expected {SHAPE}.")
        return image

    fill_in_threads(images, decode)
    return images, labels.astype(np.int64)


def _split(folder: Path, arrays: Arrays, resolution: int | None) -> ArraySplit:
    images, labels = arrays
    if not len(labels) or not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise HwticketsError(
            f"CIFAR-10 in {folder} must hold labels 0 to 9, at least one; download it again."
        )
    return ArraySplit(torch.from_numpy(images), torch.from_numpy(labels), resolution)

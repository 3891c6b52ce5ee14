"""Fashion-MNIST: 28x28 grey images of clothes in 10 classes (Zalando SE, MIT licence)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.tasks.archives import read_npz
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.idx import read_idx
from hwtickets.tasks.splits import ArraySplit, hold_out

CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
EMBEDDED = Path(__file__).parent / "embedded" / "fashion-mnist-small.npz"
VALIDATION_SHARE = 1 / 12
"""5,000 of the 60,000 training images."""


def load_embedded(resolution: int | None) -> Dataset:
    """The subset that comes with the package: 10,000 training, 2,000 validation and 2,000 test images.

    Args:
        resolution: Side of the images, in pixels; None keeps 28.
    """
    names = ("train", "validation", "test")
    arrays = read_npz(EMBEDDED, [f"{name}_{part}" for name in names for part in ("images", "labels")])
    train, validation, test = (
        _split(arrays[f"{name}_images"], arrays[f"{name}_labels"], resolution) for name in names
    )
    return Dataset.of("fashion-mnist-small", train, validation, test, CLASSES)


def load_folder(folder: Path, resolution: int | None, seed: int) -> Dataset:
    """The full data set from its four original gz files.

    Args:
        folder: Holds `train-*` and `t10k-*`, as published.
        resolution: Side of the images, in pixels; None keeps 28.
        seed: Chooses which twelfth of the training images becomes the validation split.

    Raises:
        HwticketsError: A file is missing or damaged.
    """
    train, validation = hold_out(_split(*read_pair(folder, "train"), resolution), VALIDATION_SHARE, seed)
    test = _split(*read_pair(folder, "t10k"), resolution)
    return Dataset.of(f"fashion-mnist:{folder}", train, validation, test, CLASSES)


def read_pair(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (N, 28, 28) and labels (N,) of the part "train" or "t10k", both uint8.

    Raises:
        HwticketsError: A file is missing, damaged, or does not match the other.
    """
    image_path = folder / f"{part}-images-idx3-ubyte.gz"
    label_path = folder / f"{part}-labels-idx1-ubyte.gz"
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if images.shape != (len(labels), 28, 28):
        raise HwticketsError(
            f"{image_path} holds images {images.shape}, {label_path.name} {len(labels)} labels; "
            f"expected ({len(labels)}, 28, 28)."
        )
    if not len(labels) or labels.max() >= len(CLASSES):
        raise HwticketsError(
            f"{label_path} must hold labels 0 to {len(CLASSES) - 1}, at least one; download it again."
        )
    return images, labels


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8], resolution: int | None) -> ArraySplit:
    pixels = torch.from_numpy(np.array(images))[:, None]
    return ArraySplit(pixels, torch.from_numpy(labels.astype(np.int64)), resolution)

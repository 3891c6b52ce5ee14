"""Make the data that the package carries: a class-balanced part of Fashion-MNIST (MIT, Zalando SE).

python scripts/make_fashion_mnist_small.py DIR, where DIR holds the four original gz files and their LICENSE.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwtickets.files import atomic_path
from hwtickets.tasks.fashion_mnist import CLASSES, EMBEDDED, read_pair

SEED = 0
TRAIN_PER_CLASS = 1000
VALIDATION_PER_CLASS = 200
TEST_PER_CLASS = 200


def choose(
    labels: NDArray[np.uint8], per_class: list[int], generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Draw disjoint, class-balanced parts in random order.

    Args:
        labels: Class of every image, (N,).
        per_class: Images a class in each part.
        generator: Draws them.

    Returns:
        Indices of each part.
    """
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in range(len(CLASSES))]
    ends = np.cumsum([0, *per_class])
    return [
        generator.permutation(np.concatenate([of_class[start:end] for of_class in members]))
        for start, end in itertools.pairwise(ends)
    ]


def main() -> None:
    """Write the archive and the licence into the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder

    generator = np.random.default_rng(SEED)
    images, labels = read_pair(folder, "train")
    test_images, test_labels = read_pair(folder, "t10k")
    train, validation = choose(labels, [TRAIN_PER_CLASS, VALIDATION_PER_CLASS], generator)
    (test,) = choose(test_labels, [TEST_PER_CLASS], generator)
    with atomic_path(EMBEDDED) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            train_images=images[train],
            train_labels=labels[train],
            validation_images=images[validation],
            validation_labels=labels[validation],
            test_images=test_images[test],
            test_labels=test_labels[test],
        )
    shutil.copyfile(folder / "LICENSE", EMBEDDED.with_name("LICENSE"))
    print(f"{EMBEDDED}: {EMBEDDED.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

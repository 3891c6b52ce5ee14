"""ADE20K as in the scene parsing challenge of 2016: 150 classes, images of many sizes (Zhou et al., 2017)."""

from __future__ import annotations

import re
from pathlib import Path

from hwtickets.errors import HwticketsError
from hwtickets.files import read_text
from hwtickets.tasks.segmentation.label_maps import IGNORED, LabelIds
from hwtickets.tasks.segmentation.scene_files import SceneFiles, hold_out, pairs_of

CLASSES = 150
RESOLUTION = (512, 512)
"""Of SuperTickets' networks for this data."""
NAMES_FILE = "objectInfo150.txt"


def find(folder: Path, seed: int) -> SceneFiles:
    """The files of `images/training` and `images/validation` with those of `annotations`.

    The labels of the test part are not public: `validation` is for the test, and a tenth of `training` for
    validation. In a label map, 0 does not count and n is class n - 1.

    Args:
        folder: Holds `images` and `annotations`, and `objectInfo150.txt` with the names of the classes;
            without it they are numbered.
        seed: Chooses the validation images.

    Raises:
        HwticketsError: A folder is missing or empty, an image has no label map, or the names are damaged.
    """
    train, val = (
        pairs_of(folder / "images" / part, folder / "annotations" / part)
        for part in ("training", "validation")
    )
    ids = LabelIds({0: IGNORED, **{label + 1: label for label in range(CLASSES)}})
    return SceneFiles(*hold_out(train, seed), val, ids, _names(folder / NAMES_FILE), RESOLUTION)


def _names(path: Path) -> list[str]:
    """The last column of a table: a heading, then one line a class, whose other columns are numbers."""
    if not path.exists():
        return [f"class {label + 1}" for label in range(CLASSES)]
    rows = read_text(path, "list of classes").splitlines()[1:]
    names = [re.sub(r"^[\d.\s]+", "", row).strip() for row in rows if row.strip()]
    if len(names) != CLASSES:
        raise HwticketsError(f"{path} lists {len(names)} classes, ADE20K has {CLASSES}; take the file again.")
    return names

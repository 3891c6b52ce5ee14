"""Any folder of images and masks: images/train/NAME.* with masks/train/NAME.png, and a list of classes."""

from __future__ import annotations

from pathlib import Path

from hwtickets.errors import UsageError
from hwtickets.files import read_text
from hwtickets.tasks.segmentation.label_maps import IGNORED, LabelIds
from hwtickets.tasks.segmentation.scene_files import SceneFiles, hold_out, pairs_of
from hwtickets.tasks.segmentation.scenes import Pair

CLASSES_FILE = "classes.txt"


def find(folder: Path, seed: int) -> SceneFiles:
    """The files of `images/PART` with those of `masks/PART`; the parts are train, val and perhaps test.

    Without a test part, `val` is for the test, and a tenth of `train` for validation.

    Args:
        folder: Holds `images`, `masks` and `classes.txt`, which names one class a line: id 0 first.
        seed: Chooses the validation images where there is no test part.

    Raises:
        HwticketsError: A folder is missing or empty, an image has no mask, or the classes are not listed.
    """
    classes = _classes(folder / CLASSES_FILE)
    ids = LabelIds({number: number for number in range(len(classes))})
    train, val = (_pairs(folder, part) for part in ("train", "val"))
    if not (folder / "images" / "test").is_dir():
        return SceneFiles(*hold_out(train, seed), val, ids, classes)
    return SceneFiles(train, val, _pairs(folder, "test"), ids, classes)


def _pairs(folder: Path, part: str) -> list[Pair]:
    return pairs_of(folder / "images" / part, folder / "masks" / part)


def _classes(path: Path) -> list[str]:
    names = [line.strip() for line in read_text(path, "list of classes").splitlines() if line.strip()]
    if not 2 <= len(names) <= IGNORED:
        raise UsageError(
            f"{path} lists {len(names)} classes; it must name 2 to {IGNORED}, one a line, that of id 0 first."
        )
    return names

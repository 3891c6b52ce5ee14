"""CamVid in the SegNet split: 11 classes of street scenes (Brostow et al., 2008)."""

from __future__ import annotations

from pathlib import Path

from hwtickets.tasks.segmentation.label_maps import IGNORED, LabelIds
from hwtickets.tasks.segmentation.scene_files import SceneFiles, pairs_of

CLASSES = [
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence"),
    *("car", "pedestrian", "bicyclist"),
]
UNLABELLED_ID = 11


def find(folder: Path, seed: int) -> SceneFiles:
    """The files of `train/NAME.*` with `trainannot/NAME.png`, and the same for `val` and `test`.

    Args:
        folder: Holds the six folders.
        seed: Not needed: the data has a split of its own.

    Raises:
        UsageError: A folder is missing or empty, or an image has no label map.
    """
    train, val, test = (pairs_of(folder / part, folder / f"{part}annot") for part in ("train", "val", "test"))
    ids = LabelIds({**{number: number for number in range(len(CLASSES))}, UNLABELLED_ID: IGNORED})
    return SceneFiles(train, val, test, ids, CLASSES)

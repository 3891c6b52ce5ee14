"""Cityscapes with fine annotations: 19 classes of street scenes (Cordts et al., 2016)."""

from __future__ import annotations

from pathlib import Path

from hwtickets.errors import UsageError
from hwtickets.tasks.segmentation.label_maps import IGNORED, LabelIds
from hwtickets.tasks.segmentation.scene_files import SceneFiles, files_in, hold_out, paired

CLASSES = [
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
]
#: The id of every class in `*_labelIds.png`; the other ids up to 33 do not count.
#: Source: cityscapesScripts, the table of labels.
CLASS_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
IMAGE_ENDING = "_leftImg8bit.png"
ID_ENDING, TRAIN_ID_ENDING = "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"


def find(folder: Path, seed: int) -> SceneFiles:
    """The files of `leftImg8bit/PART/CITY/NAME_leftImg8bit.png` with those of `gtFine/PART/CITY`.

    Label maps are `NAME_gtFine_labelIds.png` or, without these, `NAME_gtFine_labelTrainIds.png`. The labels
    of the test part are not public: `val` is for the test, and a tenth of `train` for validation.

    Args:
        folder: Holds `leftImg8bit` and `gtFine`.
        seed: Chooses the validation images.

    Raises:
        UsageError: A folder is missing or empty, or an image has no label map.
    """
    train_images, val_images = (_images(folder / "leftImg8bit" / part) for part in ("train", "val"))
    of_first = {ending: _labels(train_images[0], folder, ending) for ending in (TRAIN_ID_ENDING, ID_ENDING)}
    only_train_ids = of_first[TRAIN_ID_ENDING].is_file() and not of_first[ID_ENDING].is_file()
    ending = TRAIN_ID_ENDING if only_train_ids else ID_ENDING
    train, val = (
        paired(images, lambda image: _labels(image, folder, ending)) for images in (train_images, val_images)
    )
    return SceneFiles(*hold_out(train, seed), val, label_ids(ending), CLASSES)


def label_ids(ending: str) -> LabelIds:
    """What label maps with this ending of their name hold."""
    if ending == TRAIN_ID_ENDING:
        return LabelIds({number: number for number in range(len(CLASSES))})
    of_class = {number: label for label, number in enumerate(CLASS_IDS)}
    return LabelIds({number: of_class.get(number, IGNORED) for number in range(max(CLASS_IDS) + 1)})


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(
            f"folder {folder} does not exist; Cityscapes has leftImg8bit/train and leftImg8bit/val."
        )
    cities = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [path for city in cities for path in files_in(city) if path.name.endswith(IMAGE_ENDING)]
    if not images:
        raise UsageError(f"{folder} holds no CITY/NAME{IMAGE_ENDING}.")
    return images


def _labels(image: Path, folder: Path, ending: str) -> Path:
    part, city, name = image.parts[-3:]
    return folder / "gtFine" / part / city / (name.removesuffix(IMAGE_ENDING) + ending)

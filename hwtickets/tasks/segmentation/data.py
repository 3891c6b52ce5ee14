"""Data sets of scenes by name: what `--data` understands for segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ImageStat
from torch import Tensor

from hwtickets.errors import UsageError
from hwtickets.tasks.dataset import SMALLEST_STD
from hwtickets.tasks.images import count_channels, in_threads
from hwtickets.tasks.segmentation import ade20k, camvid, cityscapes, mask_folder
from hwtickets.tasks.segmentation.label_maps import IGNORED
from hwtickets.tasks.segmentation.scene_files import SceneFiles
from hwtickets.tasks.segmentation.scenes import FileScenes, Pair, Scene, Scenes, sizes_of
from hwtickets.tasks.specification import data_folder

LAYOUTS: dict[str, Callable[[Path, int], SceneFiles]] = {
    "ade20k": ade20k.find,
    "camvid": camvid.find,
    "cityscapes": cityscapes.find,
    "masks": mask_folder.find,
}
LARGEST_IN_MEMORY_BYTES = 256 * 2**20
PIXEL_BYTES = 5
"""Pillow keeps a colour pixel in 4 bytes and a label in 1."""
STATISTICS_IMAGES = 200


@dataclass(frozen=True)
class SegmentationData:
    """Scenes for one task.

    Attributes:
        name: The specification that they were loaded by.
        train: What weights are learnt from.
        validation: What choices are made on.
        test: Touched once, at the end.
        classes: Name of every class, in the order of the labels.
        mean: Mean of every channel over the training images, (C,), on a scale of 0 to 1.
        std: Standard deviation of every channel, (C,), on the same scale.
        resolution: Height and width of what the network sees, in pixels.
    """

    name: str
    train: Scenes
    validation: Scenes
    test: Scenes
    classes: list[str]
    mean: Tensor
    std: Tensor
    resolution: tuple[int, int]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return len(self.mean)


def load_scenes(spec: str, resolution: tuple[int, int] | None = None, seed: int = 0) -> SegmentationData:
    """Loads a segmentation data set.

    A split of up to 256 MiB is decoded at once, which finds every broken file before training; of larger ones
    only the heads of the files are read, and the scenes are decoded when they are asked for.

    Args:
        spec: "camvid:DIR", "cityscapes:DIR", "ade20k:DIR" or "masks:DIR".
        resolution: Height and width of what the network sees, in pixels; None is that of the images (512x512
            for ADE20K, whose images differ).
        seed: Chooses the validation images where the data has no validation split of its own.

    Raises:
        UsageError: The name is unknown, the folder is missing or holds something else, the images differ in
            size and no resolution is given, or not two classes are labelled beside pixels that do not count.
        HwticketsError: A file is damaged, an image and its label map differ in size, or a class is unknown.
    """
    kind, folder = data_folder(spec, LAYOUTS, "segmentation")
    files = LAYOUTS[kind](folder, seed)
    channels = count_channels(files.train[0].image)
    parts = files.train, files.validation, files.test
    sizes = [sizes_of(part) for part in parts]
    known = resolution or files.resolution or _only_size(folder, {size for part in sizes for size in part})
    train, validation, test = (
        _scenes(part, files, channels, of_part) for part, of_part in zip(parts, sizes, strict=True)
    )
    mean, std, found = statistics_of(train)
    if IGNORED in found and len(found) <= 2:
        seen = [files.classes[label] for label in found - {IGNORED}]
        raise UsageError(
            f"the label maps of {folder} hold nothing but {' and '.join([*seen, str(IGNORED)])}, which means"
            " that a pixel does not count; write the number of its class into every pixel, from 0 on."
        )
    return SegmentationData(spec, train, validation, test, list(files.classes), mean, std, known)


def statistics_of(scenes: Scenes) -> tuple[Tensor, Tensor, set[int]]:
    """Mean and standard deviation of every channel, (C,) each, on a scale of 0 to 1; the classes that occur.

    Taken over all scenes, or over 200 drawn at random where there are more.
    """
    picked = np.random.default_rng(0).permutation(len(scenes))[:STATISTICS_IMAGES].tolist()
    parts = in_threads(lambda index: _statistics(scenes[index]), picked)
    images = [image for image, _ in parts]
    pixels = sum(image.count[0] for image in images)
    mean = np.sum([image.sum for image in images], 0) / pixels / 255
    squares = np.sum([image.sum2 for image in images], 0) / pixels / 255**2
    # A channel of one colour would otherwise be divided by zero.
    variance = (squares - mean**2).clip(min=SMALLEST_STD**2)
    found = set[int]().union(*(classes for _, classes in parts))
    return torch.from_numpy(mean).float(), torch.from_numpy(np.sqrt(variance)).float(), found


def _statistics(scene: Scene) -> tuple[ImageStat.Stat, set[int]]:
    counts = scene.labels.histogram()
    return ImageStat.Stat(scene.image), {label for label, count in enumerate(counts) if count}


def _only_size(folder: Path, sizes: set[tuple[int, int]]) -> tuple[int, int]:
    if len(sizes) == 1:
        return sizes.pop()
    (height, width), (other_height, other_width) = sorted(sizes)[:2]
    raise UsageError(
        f"the images in {folder} differ in size ({height}x{width}, {other_height}x{other_width}, ...): "
        "say what the network shall see, --resolution HEIGHTxWIDTH."
    )


def _scenes(
    pairs: Sequence[Pair], files: SceneFiles, channels: int, sizes: Sequence[tuple[int, int]]
) -> Scenes:
    scenes = FileScenes(pairs, files.ids, channels)
    size_bytes = PIXEL_BYTES * sum(height * width for height, width in sizes)
    return scenes.in_memory() if size_bytes <= LARGEST_IN_MEMORY_BYTES else scenes

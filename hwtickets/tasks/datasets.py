"""Data sets by name: what `--data` understands."""

from __future__ import annotations

from hwtickets.errors import UsageError
from hwtickets.tasks import cifar10, fashion_mnist, image_folder
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.settings import SMALLEST_CROP
from hwtickets.tasks.specification import data_folder

EMBEDDED = "fashion-mnist-small"
FOLDER = "folder"
ARRAY_LOADERS = {"fashion-mnist": fashion_mnist.load_folder, "cifar10": cifar10.load_folder}
SMALLEST_RESOLUTION = 8


def load_dataset(
    spec: str, resolution: int | None = None, seed: int = 0, smallest_crop: float = SMALLEST_CROP
) -> Dataset:
    """Load a data set.

    Args:
        spec: "fashion-mnist-small" (comes with the package), "fashion-mnist:DIR", "cifar10:DIR" or
            "folder:DIR".
        resolution: Height and width of the images, in pixels; None is the data's own (64 for a folder).
        seed: Chooses the validation images where the data has no validation split of its own.
        smallest_crop: Share of a picture of a folder that training shows at least.

    Raises:
        UsageError: The name is unknown, or the folder is missing or holds something else.
        HwticketsError: A file is missing or damaged.
    """
    if resolution is not None and resolution < SMALLEST_RESOLUTION:
        raise UsageError(f"resolution {resolution} is too small; the least is {SMALLEST_RESOLUTION} pixels.")
    if spec == EMBEDDED:
        return fashion_mnist.load_embedded(resolution)
    kind, folder = data_folder(spec, [*ARRAY_LOADERS, FOLDER], "classification", [EMBEDDED])
    if kind == FOLDER:
        return image_folder.load_folder(folder, resolution, seed, smallest_crop)
    return ARRAY_LOADERS[kind](folder, resolution, seed)

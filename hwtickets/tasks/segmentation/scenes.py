"""Scenes: images with the class of every pixel, decoded on demand or once for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from hwtickets.errors import HwticketsError
from hwtickets.tasks.images import in_threads, open_image, opened
from hwtickets.tasks.segmentation.label_maps import LabelIds


class Scene(NamedTuple):
    """An image and what it shows.

    Attributes:
        image: Grey ("L") or "RGB".
        labels: The class of every pixel, or IGNORED; a grey image of the same size.
    """

    image: Image.Image
    labels: Image.Image


class Pair(NamedTuple):
    """The files of a scene."""

    image: Path
    labels: Path


class Scenes(Protocol):
    """Scenes that are asked for by index, from several threads at once."""

    def __len__(self) -> int:
        """Number of scenes."""

    def __getitem__(self, index: int, /) -> Scene:
        """One scene."""


class FileScenes:
    """Scenes that are decoded whenever they are asked for.

    Args:
        pairs: The files of every scene.
        ids: What the label maps hold.
        channels: 1 (grey) or 3 (RGB).
    """

    def __init__(self, pairs: Sequence[Pair], ids: LabelIds, channels: int) -> None:
        self.pairs = pairs
        self.ids = ids
        self.mode = "L" if channels == 1 else "RGB"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Scene:
        """One scene.

        Raises:
            HwticketsError: A file is not an image, or its labels are wrong; the message names it.
        """
        pair = self.pairs[index]
        return Scene(open_image(pair.image, self.mode), self.ids.read(pair.labels))

    def in_memory(self) -> list[Scene]:
        """Every scene, decoded once; errors as for a single one."""
        return in_threads(self.__getitem__, range(len(self)))


def sizes_of(pairs: Iterable[Pair]) -> list[tuple[int, int]]:
    """Height and width of every image, in pixels, from the heads of the files.

    Raises:
        HwticketsError: A file is not an image, or a label map is not as large as its image.
    """
    return in_threads(_size, pairs)


def _size(pair: Pair) -> tuple[int, int]:
    with opened(pair.image) as image, opened(pair.labels) as labels:
        width, height = image.size
        if labels.size != image.size:
            raise HwticketsError(
                f"{pair.labels} has {labels.width}x{labels.height} pixels, its image "
                f"{pair.image.name} {width}x{height}; both must have the same size."
            )
    return height, width

"""Decoding of image files into uint8 arrays, many at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hwtickets.errors import HwticketsError

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "F"})
CHUNK = 256

CENTRE_SHARE = 0.875
"""Of a picture's shorter side that is seen where nothing is cut out at random: 224 of 256 pixels, as in
Krizhevsky et al., ImageNet classification with deep convolutional neural networks (2012), section 4.1."""

_BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file of any format that Pillow reads; its pixels are decoded when they are asked for.

    Raises:
        HwticketsError: The file is not an image, or is cut off.
    """
    try:
        with Image.open(path) as image:
            yield image
    except _BROKEN as error:
        raise _not_an_image(str(path)) from error


def open_image(path: Path, mode: str, least: int | None = None) -> Image.Image:
    """An image file, decoded.

    Args:
        path: Any format that Pillow reads.
        mode: Pillow's name of the pixels, "L" (grey) or "RGB".
        least: Shorter side that is enough, in pixels: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where
            that is not less. None for its full size.

    Raises:
        HwticketsError: The file is not an image, or is cut off.
    """
    with opened(path) as image:
        if least is not None:
            image.draft(mode, (least, least))
        return image.convert(mode)


def count_channels(path: Path) -> int:
    """Read the header of an image file.

    Returns:
        1 for a grey image, 3 for any other.

    Raises:
        HwticketsError: The file is not an image.
    """
    with opened(path) as image:
        return 1 if image.mode in GREY_MODES else 3


def read_size(path: Path, mode: str, least: int) -> tuple[int, int]:
    """Width and height that `open_image` gives a file, from its header; errors as there."""
    with opened(path) as image:
        image.draft(mode, (least, least))
        return image.size


def centre_square(picture: Image.Image, resolution: int) -> Image.Image:
    """The middle of a picture: a square of 7/8 of its shorter side, scaled to so many pixels."""
    edge = (1 - CENTRE_SHARE) / 2
    return ImageOps.fit(picture, (resolution, resolution), Image.Resampling.BILINEAR, bleed=edge)


def decode_bytes(encoded: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Decode one RGB image held in memory, at its own size.

    Args:
        encoded: The bytes of the image file.
        name: What an error calls the image.

    Returns:
        uint8 array (3, height, width).

    Raises:
        HwticketsError: The bytes are not an image.
    """
    try:
        with Image.open(io.BytesIO(encoded.tobytes())) as image:
            return channels_first(image.convert("RGB"))
    except _BROKEN as error:
        raise _not_an_image(name) from error


def fill_in_threads(images: NDArray[np.uint8], decode: Callable[[int], NDArray[np.uint8]]) -> None:
    """Set `images[i] = decode(i)` for every i, on all cores (Pillow releases the interpreter lock).

    Args:
        images: uint8 array (N, C, H, W), filled in place.
        decode: Gives image i, uint8 (C, H, W); its first error is raised here.
    """
    cores = os.cpu_count() or 1
    step = max(1, min(CHUNK, -(-len(images) // cores)))

    def fill(start: int) -> None:
        for index in range(start, min(start + step, len(images))):
            images[index] = decode(index)

    if step >= len(images):
        fill(0)
        return
    with ThreadPoolExecutor(cores) as pool:
        for _ in pool.map(fill, range(0, len(images), step)):
            pass


def in_threads(make: Callable[[_Given], _Made], given: Iterable[_Given]) -> list[_Made]:
    """`make` of everything that is given, in order, on all cores; the first error is raised here."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(make, given))


def channels_first(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a grey or an RGB image, (C, H, W)."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _not_an_image(name: str) -> HwticketsError:
    return HwticketsError(f"{name} is damaged or is not an image; replace it or remove it.")

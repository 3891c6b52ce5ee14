"""Label maps: image files that hold the class of every pixel as a number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from hwtickets.errors import HwticketsError
from hwtickets.tasks.images import opened

IGNORED = 255
"""The class of pixels that neither loss nor score counts."""
ID_MODES = frozenset({"1", "L", "P", "I", "I;16"})


class LabelIds:
    """What the numbers in the label maps of a data set mean; 255 is always a pixel that does not count.

    Args:
        class_of: The class of every id, or IGNORED.
    """

    def __init__(self, class_of: Mapping[int, int]) -> None:
        self._known = {*class_of, IGNORED}
        self._largest = max(class_of)
        self._table = [class_of.get(number, IGNORED) for number in range(256)]

    def read(self, path: Path) -> Image.Image:
        """The class of every pixel of a label map, or IGNORED, as a grey image.

        Args:
            path: A grey or palette image; of a palette, the indices are the ids.

        Raises:
            HwticketsError: The file is not an image, holds colours, or an id that the data does not have.
        """
        with opened(path) as image:
            if image.mode not in ID_MODES:
                raise HwticketsError(
                    f"{path} holds colours ({image.mode}), not the number of a class in every pixel."
                )
            stored = np.asarray(image)
        numbers = stored.astype(np.uint8)
        if not np.array_equal(numbers, stored):
            raise self._strange(path, stored[numbers != stored][0])
        ids = Image.fromarray(numbers)
        strange = {number for number, count in enumerate(ids.histogram()) if count} - self._known
        if strange:
            raise self._strange(path, min(strange))
        return ids.point(self._table)

    def _strange(self, path: Path, number: int) -> HwticketsError:
        return HwticketsError(
            f"{path} holds the class id {number}; this data has the ids 0 to {self._largest}, "
            f"and {IGNORED} for pixels that do not count."
        )

"""How good a segmentation is: all scores from one confusion matrix over a whole split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.tasks.segmentation.label_maps import IGNORED


def confusion_matrix(
    labels: NDArray[Any], predicted: NDArray[Any], classes: int, ignored: int = IGNORED
) -> NDArray[np.int64]:
    """How many pixels of each class were given each class.

    Args:
        labels: The right class of every pixel, any shape.
        predicted: The class that was given, the same shape.
        classes: How many there are.
        ignored: The label of pixels that do not count.

    Returns:
        (classes, classes): a row for every right class, a column for every given one.
    """
    counted = labels != ignored
    cells = labels[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class SegmentationScores:
    """Scores in percent.

    Attributes:
        miou: Mean over the classes of intersection / union. A class that is neither in the labels nor in the
            predictions does not count.
        macc: Mean over the classes in the labels of the share of their pixels that were given that class.
        aacc: Share of all pixels that were given the right class.
        class_iou: Intersection / union of every class; None for one that does not count.
    """

    miou: float
    macc: float
    aacc: float
    class_iou: list[float | None]

    @classmethod
    def of(cls, confusion: NDArray[np.int64]) -> SegmentationScores:
        """The scores of a confusion matrix.

        Raises:
            HwticketsError: It is empty: no pixel was labelled.
        """
        if not confusion.any():
            raise HwticketsError("no pixel of these images is labelled: there is nothing to score.")
        right = np.diag(confusion)
        labelled = confusion.sum(1)
        union = labelled + confusion.sum(0) - right
        iou = 100 * right / np.maximum(union, 1)
        shown = labelled > 0
        return cls(
            float(iou[union > 0].mean()),
            float((100 * right[shown] / labelled[shown]).mean()),
            float(100 * right.sum() / labelled.sum()),
            [float(value) if count else None for value, count in zip(iou, union, strict=True)],
        )

"""How alike two networks decide, in the words of their task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hwtickets.tasks import task_class

Array = NDArray[np.float32]


def agreement_of(task: str, expected: Array, actual: Array) -> dict[str, float]:
    """What two networks decide alike on the same images; shares are in [0, 1].

    Args:
        task: Name of the task.
        expected: Outputs of the reference, shape (images, ...).
        actual: Outputs of the other network, of the same shape.

    Returns:
        For "classification" `top1_agreement`, the share of images with the same first class. For
        "segmentation" `pixel_agreement`, and `miou_agreement`, the mean intersection over union of the class
        maps with the reference's as the truth. For "keypoints" `joint_agreement` (peaks in the same or in
        neighbouring cells), and `keypoint_shift_px` and `largest_keypoint_shift_px`, how far joints move in
        pixels of the input. For other tasks `agreement`.
    """
    compare = _TASKS.get(task)
    if compare is not None:
        return compare(expected, actual)
    return {"agreement": task_class(task).agreement(expected, actual)}


def _of_classes(expected: Array, actual: Array) -> dict[str, float]:
    return {"top1_agreement": task_class("classification").agreement(expected, actual)}


def _of_maps(expected: Array, actual: Array) -> dict[str, float]:
    from hwtickets.tasks.segmentation.scores import SegmentationScores, confusion_matrix

    # No label is left out here: -1 is none that a network gives.
    confusion = confusion_matrix(expected.argmax(1), actual.argmax(1), expected.shape[1], ignored=-1)
    return {
        "pixel_agreement": task_class("segmentation").agreement(expected, actual),
        "miou_agreement": SegmentationScores.of(confusion).miou / 100,
    }


def _of_joints(expected: Array, actual: Array) -> dict[str, float]:
    from hwtickets.tasks.keypoints.heatmaps import read_heatmaps

    moved_px = np.linalg.norm(read_heatmaps(actual)[0] - read_heatmaps(expected)[0], axis=-1)
    return {
        "joint_agreement": task_class("keypoints").agreement(expected, actual),
        "keypoint_shift_px": float(moved_px.mean()),
        "largest_keypoint_shift_px": float(moved_px.max()),
    }


_TASKS: dict[str, Callable[[Array, Array], dict[str, float]]] = {
    "classification": _of_classes,
    "segmentation": _of_maps,
    "keypoints": _of_joints,
}

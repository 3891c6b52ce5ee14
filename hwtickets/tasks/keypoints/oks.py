"""Object keypoint similarity, and what COCO makes of it: average precision and recall."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.tasks.keypoints.persons import Persons

CATEGORY = 1
SAME_PERSON = 0.9
"""Poses more alike than this are one person found twice (HRNet's public settings)."""


@dataclass(frozen=True, eq=False)
class Poses:
    """Persons as a network found them.

    Attributes:
        images: Number of the image, int64 (N,).
        joints: x and y in pixels, (N, K, 2).
        scores: How sure each is, (N,).
        areas: Of the boxes in square pixels, (N,).
    """

    images: NDArray[np.int64]
    joints: NDArray[np.float64]
    scores: NDArray[np.float64]
    areas: NDArray[np.float64]

    def taken(self, rows: NDArray[np.int64]) -> Poses:
        """Those at these rows."""
        return Poses(self.images[rows], self.joints[rows], self.scores[rows], self.areas[rows])


@dataclass(frozen=True)
class OksScores:
    """COCO's figures in percent.

    Attributes:
        ap: Average precision, the mean over similarities of 0.5 to 0.95.
        ap50: Average precision at a similarity of 0.5.
        ap75: Average precision at a similarity of 0.75.
        ar: Average recall, the mean over similarities of 0.5 to 0.95.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float


def similarity(
    joints: NDArray[np.float64], others: NDArray[np.float64], areas: NDArray[Any], sigmas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Object keypoint similarity of poses: exp(-d^2 / (2 area (2 sigma)^2)), the mean over the joints.

    Args:
        joints: x and y in pixels, (..., K, 2).
        others: The same, of a shape that fits.
        areas: Of the persons in square pixels, (...).
        sigmas: Spread of every joint, (K,).

    Returns:
        From 0 to 1, (...).

    Source: COCO keypoint evaluation (Lin et al., Microsoft COCO, 2014, and its evaluation page).
    """
    squared = ((joints - others) ** 2).sum(-1)
    spread = 2 * np.maximum(areas, np.spacing(1.0))[..., None] * (2 * sigmas) ** 2
    alike: NDArray[np.float64] = np.exp(-squared / spread).mean(-1)
    return alike


def without_doubles(
    poses: Poses, sigmas: NDArray[np.float64], same_person: float = SAME_PERSON
) -> NDArray[np.int64]:
    """Rows of the poses that are no weaker copy of another on the same image, the surest first."""
    kept: dict[int, list[int]] = {}
    order = np.argsort(-poses.scores, kind="stable").tolist()
    for row in order:
        rivals = kept.setdefault(int(poses.images[row]), [])
        areas = (poses.areas[rivals] + poses.areas[row]) / 2
        if not (similarity(poses.joints[rivals], poses.joints[row], areas, sigmas) > same_person).any():
            rivals.append(row)
    survivors = {row for rows in kept.values() for row in rows}
    return np.array([row for row in order if row in survivors], dtype=np.int64)


def evaluate(truth: Persons, found: Poses, sigmas: NDArray[np.float64]) -> OksScores:
    """COCO's figures for poses on the images that the truth is of.

    Args:
        truth: Everything labelled; crowds and persons without joints are neither hits nor misses.
        found: The poses; on each image the 20 surest count.
        sigmas: Spread of every joint, (K,).

    Raises:
        HwticketsError: pycocotools is not installed.
    """
    labels_type, evaluation_type = evaluation_tools()
    # To pycocotools a joint that is no number is everywhere at once.
    found = found.taken(np.flatnonzero(np.isfinite(found.joints).all((1, 2)) & np.isfinite(found.scores)))
    if not len(found.images):
        return OksScores(0.0, 0.0, 0.0, 0.0)
    # pycocotools reports on standard output, where a verb's own result belongs.
    with contextlib.redirect_stdout(io.StringIO()):
        labels = labels_type()
        labels.dataset = _labels(truth, found)
        labels.createIndex()
        evaluation = evaluation_type(labels, labels.loadRes(_results(found)), "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            step()
    ap, ap50, ap75, _, _, ar, *_ = (100 * max(0.0, float(value)) for value in evaluation.stats)
    return OksScores(ap, ap50, ap75, ar)


def evaluation_tools() -> tuple[type[Any], type[Any]]:
    """COCO's classes of labels and of evaluations; without them, an error that says how to get them."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise HwticketsError(
            "pycocotools is not installed, which scores keypoints; install it with: "
            "pip install 'hwtickets[keypoints]'"
        ) from error
    return COCO, COCOeval


def _labels(truth: Persons, found: Poses) -> dict[str, Any]:
    images = np.union1d(truth.images, found.images).tolist()
    rows = zip(truth.images, truth.boxes, truth.joints, truth.areas, truth.crowd, strict=True)
    return {
        "images": [{"id": image} for image in images],
        "categories": [{"id": CATEGORY}],
        # From 1: to pycocotools an id of 0 is nobody.
        "annotations": [
            {
                "id": number,
                "image_id": int(image),
                "category_id": CATEGORY,
                "bbox": box.tolist(),
                "keypoints": joints.ravel().tolist(),
                "num_keypoints": int((joints[:, 2] > 0).sum()),
                "area": float(area),
                "iscrowd": int(crowd),
            }
            for number, (image, box, joints, area, crowd) in enumerate(rows, 1)
        ],
    }


def _results(found: Poses) -> list[dict[str, Any]]:
    rows = zip(found.images, found.joints, found.scores, strict=True)
    return [
        {
            "image_id": int(image),
            "category_id": CATEGORY,
            "keypoints": np.pad(joints, ((0, 0), (0, 1))).ravel().tolist(),
            "score": float(score),
        }
        for image, joints, score in rows
    ]

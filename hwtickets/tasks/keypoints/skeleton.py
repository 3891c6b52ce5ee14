"""The joints of a set: their names, which are mirror images of each other, how exactly they are labelled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import UsageError

COCO_SIGMAS = {
    "nose": 0.026,
    "left_eye": 0.025,
    "right_eye": 0.025,
    "left_ear": 0.035,
    "right_ear": 0.035,
    "left_shoulder": 0.079,
    "right_shoulder": 0.079,
    "left_elbow": 0.072,
    "right_elbow": 0.072,
    "left_wrist": 0.062,
    "right_wrist": 0.062,
    "left_hip": 0.107,
    "right_hip": 0.107,
    "left_knee": 0.087,
    "right_knee": 0.087,
    "left_ankle": 0.089,
    "right_ankle": 0.089,
}
"""Spread of human labels as a share of the root of the person's area (COCO keypoint evaluation)."""
UNIFORM_SIGMA = 0.067
"""The mean of COCO's: for joints whose spread nobody has measured."""

_SIDE = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The joints of every person of a set.

    Attributes:
        names: Name of every joint.
        mirrored: Joint that each one is in a mirror, int64 (K,).
        sigmas: Spread of labels for object keypoint similarity, (K,).
    """

    names: list[str]
    mirrored: NDArray[np.int64]
    sigmas: NDArray[np.float64]

    @classmethod
    def of(cls, names: Sequence[str], where: str) -> Skeleton:
        """The skeleton of joints with these names, such as "left_wrist", "r_knee" or "nose".

        Args:
            names: Name of every joint.
            where: What errors call the place that the names are from.

        Returns:
            COCO's own sigmas if the joints are COCO's 17, otherwise the same one for every joint.

        Raises:
            UsageError: There are none, a name comes twice, or one of left and right is missing.
        """
        if not names or len(set(names)) < len(names):
            raise UsageError(f"{where}: every joint needs a name of its own; there are {list(names)}.")
        rows = {name: row for row, name in enumerate(names)}
        for name in names:
            if _other_side(name) not in rows:
                raise UsageError(
                    f"{where}: joint '{name}' has no partner '{_other_side(name)}', which a mirror image "
                    "needs; add it (unlabelled: 0, 0, 0) or rename the joint."
                )
        mirrored = np.array([rows[_other_side(name)] for name in names])
        is_coco = list(names) == list(COCO_SIGMAS)
        sigmas = list(COCO_SIGMAS.values()) if is_coco else [UNIFORM_SIGMA] * len(names)
        return cls(list(names), mirrored, np.array(sigmas))


def _other_side(name: str) -> str:
    return _SIDE.sub(lambda found: _in_case_of(found[0], _OTHER[found[0].lower()]), name)


def _in_case_of(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word

from __future__ import annotations

import numpy as np
import pytest

from hwtickets.errors import UsageError
from hwtickets.tasks.keypoints.skeleton import COCO_SIGMAS, UNIFORM_SIGMA, Skeleton


def test_coco_has_its_own_sigmas_and_pairs() -> None:
    skeleton = Skeleton.of(list(COCO_SIGMAS), "a.json")
    pairs = {
        name: skeleton.names[other] for name, other in zip(skeleton.names, skeleton.mirrored, strict=True)
    }
    assert pairs["nose"] == "nose"
    assert (pairs["left_knee"], pairs["right_ear"]) == ("right_knee", "left_ear")
    assert skeleton.sigmas[skeleton.names.index("left_hip")] == pytest.approx(0.107)


def test_uniform_sigma_is_the_mean_of_cocos() -> None:
    assert np.mean(list(COCO_SIGMAS.values())) == pytest.approx(UNIFORM_SIGMA, abs=5e-4)
    assert Skeleton.of(["head", "tail"], "a.json").sigmas.tolist() == [UNIFORM_SIGMA] * 2


@pytest.mark.parametrize(
    "pair", [("l_eye", "r_eye"), ("EyeLeft", "EyeRight"), ("KNEE R", "KNEE L"), ("Left wrist", "Right wrist")]
)
def test_sides_are_understood_however_they_are_written(pair: tuple[str, str]) -> None:
    assert Skeleton.of([pair[0], "tail", pair[1]], "a.json").mirrored.tolist() == [2, 1, 0]


def test_missing_side_is_named() -> None:
    with pytest.raises(UsageError, match=r"a\.json: joint 'left_ear' has no partner 'right_ear'"):
        Skeleton.of(["nose", "left_ear"], "a.json")


@pytest.mark.parametrize("names", [[], ["nose", "nose"]])
def test_joints_need_names_of_their_own(names: list[str]) -> None:
    with pytest.raises(UsageError, match="a name of its own"):
        Skeleton.of(names, "a.json")

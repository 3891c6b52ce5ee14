from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.tasks.keypoints.coco import read_persons
from hwtickets.tasks.keypoints.oks import Poses, evaluate, similarity, without_doubles
from hwtickets.tasks.keypoints.persons import Persons

WriteCoco = Callable[..., Path]
MakePerson = Callable[..., dict[str, Any]]

SIGMAS = np.array([0.05, 0.1])


def persons(joints: NDArray[np.float64], area: float = 400.0, crowd: bool = False) -> Persons:
    """One person an image."""
    count = len(joints)
    visible = np.concatenate([joints, np.full((*joints.shape[:2], 1), 2.0)], 2)
    boxes = np.tile([0.0, 0.0, 20.0, 20.0], (count, 1))
    return Persons(np.arange(count), boxes, visible, np.full(count, area), np.full(count, crowd))


def poses(joints: NDArray[np.float64], scores: list[float], images: list[int]) -> Poses:
    return Poses(np.array(images), joints, np.array(scores), np.full(len(images), 400.0))


def test_similarity_as_computed_by_hand() -> None:
    """3 and 4 pixels off: exp(-25 / (2 400 0.1^2)) = exp(-3.125), and exp(-25 / (2 400 0.2^2))."""
    joints = np.zeros((2, 2))
    expected = (np.exp(-3.125) + np.exp(-0.78125)) / 2
    assert similarity(joints + np.array([3, 4]), joints, np.array(400.0), SIGMAS) == pytest.approx(expected)


def test_average_precision_as_computed_by_hand() -> None:
    """A similarity of 0.72 is a hit at 0.5, 0.55, 0.6, 0.65 and 0.7 of the ten thresholds."""
    off = np.sqrt(-2 * 400 * 0.1**2 * np.log(0.72))
    joints = np.array([[[5.0, 5.0], [15.0, 15.0]]])
    sigmas = np.array([0.05, 0.05])
    scores = evaluate(persons(joints), poses(joints + np.array([off, 0]), [0.7], [0]), sigmas)
    assert (scores.ap, scores.ar) == pytest.approx((50, 50))
    assert (scores.ap50, scores.ap75) == pytest.approx((100, 0))


def test_missed_persons_cost_recall_and_invented_ones_precision() -> None:
    joints = np.array([[[5.0, 5.0], [15.0, 15.0]]] * 2)
    missed = evaluate(persons(joints), poses(joints[:1], [0.9], [0]), SIGMAS)
    assert missed.ar == pytest.approx(50)
    invented = evaluate(
        persons(joints), poses(np.concatenate([joints, joints[:1] + 99]), [0.5, 0.5, 0.9], [0, 1, 0]), SIGMAS
    )
    assert invented.ar == pytest.approx(100)
    assert invented.ap == pytest.approx(200 / 3, abs=0.5)


def test_crowds_and_persons_without_joints_are_neither_hit_nor_miss() -> None:
    joints = np.array([[[5.0, 5.0], [15.0, 15.0]]] * 2)
    both = persons(joints)
    both.crowd[1] = True
    assert evaluate(both, poses(joints[:1], [0.9], [0]), SIGMAS).ar == pytest.approx(100)
    both.crowd[1] = False
    both.joints[1, :, 2] = 0
    assert evaluate(both, poses(joints, [0.5, 0.9], [0, 1]), SIGMAS).ap == pytest.approx(100)


def test_nobody_found_scores_zero(capfd: pytest.CaptureFixture[str]) -> None:
    joints = np.array([[[5.0, 5.0], [15.0, 15.0]]])
    assert evaluate(persons(joints), poses(joints[:0], [], []), SIGMAS).ap == 0
    evaluate(persons(joints), poses(joints, [1.0], [0]), SIGMAS)
    assert capfd.readouterr() == ("", "")


def test_figures_are_those_of_pycocotools_on_the_file(
    tmp_path: Path, write_coco: WriteCoco, person: MakePerson
) -> None:
    """Through our reader and with our ids, against the library on the file with the file's."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    unlabelled = [0.0] * 15
    everybody = [person(number, 70 + number % 4, area=900.0, num_keypoints=5) for number in range(11, 19)]
    everybody += [
        person(19, 70, num_keypoints=0, keypoints=unlabelled),
        person(20, 71, iscrowd=1, num_keypoints=5),
    ]
    path = write_coco(tmp_path / "a.json", tmp_path, range(70, 74), everybody)
    labels = read_persons(path)
    rng = np.random.default_rng(1)
    usable = labels.persons.taken(labels.persons.usable())
    assert len(usable) == 8
    found = usable.joints[..., :2] + rng.normal(0, 1.5, (8, 5, 2))
    scores = rng.uniform(0, 1, 8)
    own = evaluate(labels.persons, Poses(usable.images, found, scores, usable.areas), labels.skeleton.sigmas)
    results = [
        {
            "image_id": labels.image_ids[image],
            "category_id": 3,
            "keypoints": np.pad(joints, ((0, 0), (0, 1))).ravel().tolist(),
            "score": float(score),
        }
        for image, joints, score in zip(usable.images, found, scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        theirs = COCOeval(truth, truth.loadRes(results), "keypoints")
        theirs.params.kpt_oks_sigmas = labels.skeleton.sigmas
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert 0 < own.ap < 100
    assert [own.ap, own.ap50, own.ap75, own.ar] == pytest.approx((100 * theirs.stats[[0, 1, 2, 5]]).tolist())


def test_first_annotation_may_have_the_id_zero(
    tmp_path: Path, write_coco: WriteCoco, person: MakePerson
) -> None:
    """pycocotools itself takes a match with it for none."""
    path = write_coco(tmp_path / "a.json", tmp_path, range(2), [person(0, 0), person(1, 1)])
    assert json.loads(path.read_text())["annotations"][0]["id"] == 0
    truth = read_persons(path).persons
    found = Poses(truth.images, truth.joints[..., :2], np.ones(2), truth.areas)
    assert evaluate(truth, found, np.full(5, 0.05)).ap == pytest.approx(100)


def test_joints_that_are_no_numbers_are_not_found() -> None:
    joints = np.array([[[5.0, 5.0], [15.0, 15.0]]] * 2)
    broken = joints.copy()
    broken[1, 0, 0] = np.nan
    half = evaluate(persons(joints), poses(broken, [0.5, 0.9], [0, 1]), SIGMAS)
    assert half.ar == pytest.approx(50)
    assert evaluate(persons(joints), poses(joints, [np.nan, np.nan], [0, 1]), SIGMAS).ap == 0


def test_weaker_copies_of_a_pose_are_dropped_on_the_same_image_only() -> None:
    joint = np.array([[5.0, 5.0], [15.0, 15.0]])
    found = poses(np.stack([joint, joint + 0.2, joint, joint + 30]), [0.5, 0.9, 0.4, 0.3], [0, 0, 1, 0])
    assert without_doubles(found, SIGMAS).tolist() == [1, 2, 3]


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    joints = np.array([[[5.0, 5.0], [15.0, 15.0]]])
    with pytest.raises(HwticketsError, match=r"pip install 'hwtickets\[keypoints\]'"):
        evaluate(persons(joints), poses(joints, [1.0], [0]), SIGMAS)

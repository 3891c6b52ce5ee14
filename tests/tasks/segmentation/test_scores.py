from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwtickets.errors import HwticketsError
from hwtickets.tasks.segmentation.scores import SegmentationScores, confusion_matrix

MAPS = st.integers(1, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        arrays(np.uint8, (4, 3), elements=st.sampled_from([*range(classes), 255])),
        arrays(np.int64, (4, 3), elements=st.integers(0, classes - 1)),
    )
)


@given(MAPS)
@settings(deadline=None)
def test_confusion_counts_every_labelled_pixel_once(maps: tuple[int, np.ndarray, np.ndarray]) -> None:
    classes, labels, predicted = maps
    confusion = confusion_matrix(labels, predicted, classes)
    counted = np.zeros((classes, classes), np.int64)
    for right, given_class in zip(labels.ravel(), predicted.ravel(), strict=True):
        if right != 255:
            counted[right, given_class] += 1
    assert np.array_equal(confusion, counted)


@given(MAPS)
@settings(deadline=None)
def test_scores_keep_their_bounds(maps: tuple[int, np.ndarray, np.ndarray]) -> None:
    classes, labels, predicted = maps
    if (labels == 255).all():
        return
    scores = SegmentationScores.of(confusion_matrix(labels, predicted, classes))
    assert 0 <= scores.miou <= 100
    assert scores.miou <= scores.macc + 1e-9, "a union is at least as large as the class itself"
    assert (scores.miou == pytest.approx(100)) == (scores.aacc == pytest.approx(100))


def test_a_case_by_hand() -> None:
    labels = np.array([[0, 0, 0, 1], [1, 1, 255, 255]])
    predicted = np.array([[0, 0, 1, 1], [1, 2, 0, 2]])
    scores = SegmentationScores.of(confusion_matrix(labels, predicted, 4))
    # Class 0: 2 of a union of 3; class 1: 2 of 4; class 2 only predicted: 0 of 1; class 3 nowhere.
    assert scores.class_iou == [pytest.approx(200 / 3), pytest.approx(50), 0, None]
    assert scores.miou == pytest.approx((200 / 3 + 50 + 0) / 3)
    assert scores.macc == pytest.approx(200 / 3)
    assert scores.aacc == pytest.approx(400 / 6)


def test_images_without_labels_cannot_be_scored() -> None:
    with pytest.raises(HwticketsError, match="no pixel of these images is labelled"):
        SegmentationScores.of(np.zeros((3, 3), np.int64))

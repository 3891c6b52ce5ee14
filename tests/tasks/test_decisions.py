"""How alike two networks decide, in the words of their task."""

from __future__ import annotations

import numpy as np
import pytest

from hwtickets.tasks.decisions import agreement_of


def test_classes_of_images() -> None:
    expected = np.eye(4, dtype=np.float32)
    actual = expected.copy()
    actual[3] = [0, 0, 5, 1]
    assert agreement_of("classification", expected, actual) == {"top1_agreement": 0.75}


def test_maps_of_classes() -> None:
    expected = np.zeros((1, 2, 2, 2), np.float32)
    expected[:, 0] = 1
    actual = expected.copy()
    actual[0, 1, 0, 0] = 2
    found = agreement_of("segmentation", expected, actual)
    assert found == {"pixel_agreement": 0.75, "miou_agreement": pytest.approx((0.75 + 0) / 2)}
    assert agreement_of("segmentation", expected, expected) == {"pixel_agreement": 1, "miou_agreement": 1}


def test_joints_that_move() -> None:
    expected = np.zeros((1, 2, 16, 16), np.float32)
    expected[0, :, 8, 8] = 1
    actual = expected.copy()
    actual[0, 1] = 0
    actual[0, 1, 8, 11] = 1
    found = agreement_of("keypoints", expected, actual)
    assert found["joint_agreement"] == 0.5
    assert found["largest_keypoint_shift_px"] == pytest.approx(12), "three cells of four pixels"
    assert found["keypoint_shift_px"] == pytest.approx(6)

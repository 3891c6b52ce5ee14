from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.tasks.keypoints.affine import crop_matrices, inverse, mapped

boxes = st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(1, 900), st.floats(1, 900)).map(
    lambda box: np.array([box])
)
sizes = st.tuples(st.integers(32, 512), st.integers(32, 512))


@settings(max_examples=50, deadline=None)
@given(boxes, sizes, st.floats(0.5, 2), st.floats(-180, 180), st.booleans(), st.integers(0, 2**32 - 1))
def test_there_and_back_is_where_one_was(box, size, enlarged, degrees, mirrored, seed) -> None:
    matrices = crop_matrices(box, size, enlarged, degrees, mirrored)
    points = np.random.default_rng(seed).uniform(-1000, 1000, (1, 6, 2))
    np.testing.assert_allclose(mapped(inverse(matrices), mapped(matrices, points)), points, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(boxes, sizes)
def test_the_padded_box_just_fits_and_is_centred(box, size) -> None:
    left, top, width, height = box[0]
    corners = np.array([[[left, top], [left + width, top + height]]]) - 0.5
    shown = mapped(crop_matrices(box, size, padding=1.25), corners)[0] + 0.5
    spans = (shown[1] - shown[0]) / np.array(size[::-1])
    np.testing.assert_allclose(shown.mean(0), np.array(size[::-1]) / 2, atol=1e-6)
    np.testing.assert_allclose(spans.max(), 1 / 1.25)
    np.testing.assert_allclose((shown[1] - shown[0])[0] * height, (shown[1] - shown[0])[1] * width)


def test_turning_is_clockwise_and_mirroring_comes_last() -> None:
    box = np.array([[0.0, 0.0, 40.0, 40.0]])
    right_of_center = np.array([[[29.5, 19.5]]])
    turned = mapped(crop_matrices(box, (40, 40), degrees=90, padding=1), right_of_center)
    np.testing.assert_allclose(turned, [[[19.5, 29.5]]], atol=1e-9)
    mirrored = mapped(crop_matrices(box, (40, 40), mirrored=True, padding=1), right_of_center)
    np.testing.assert_allclose(mirrored, [[[9.5, 19.5]]], atol=1e-9)


def test_every_crop_has_its_own_map() -> None:
    box = np.array([[0.0, 0.0, 40.0, 40.0]] * 2)
    matrices = crop_matrices(
        box, (40, 40), np.array([1.0, 2.0]), np.array([0.0, 180.0]), np.array([False, True])
    )
    single = crop_matrices(box[:1], (40, 40), 2.0, 180.0, True)
    np.testing.assert_allclose(matrices[1:], single)
    assert not np.allclose(matrices[0], matrices[1])

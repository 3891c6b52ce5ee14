from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hwtickets.tasks.keypoints.heatmaps import STRIDE, draw_heatmaps, read_heatmaps, sigma_for

SIZE = (24, 16)


def drawn(points: list[tuple[float, float]], sigma: float = 2.0) -> NDArray[np.float32]:
    return draw_heatmaps(torch.tensor([points]), SIZE, sigma).numpy()


def test_hill_is_highest_at_the_joint() -> None:
    middle_of_cell = (5 * STRIDE + 1.5, 9 * STRIDE + 1.5)
    heatmap = drawn([middle_of_cell])[0, 0]
    assert np.unravel_index(heatmap.argmax(), heatmap.shape) == (9, 5)
    assert heatmap.max() == pytest.approx(1)
    assert heatmap[9, 7] == pytest.approx(np.exp(-0.5))
    assert heatmap[11, 5] == pytest.approx(np.exp(-0.5))


def test_mirrored_input_has_the_mirrored_heatmap() -> None:
    width = SIZE[1] * STRIDE
    there, mirrored = drawn([(10.3, 30.0)]), drawn([(width - 1 - 10.3, 30.0)])
    np.testing.assert_allclose(mirrored[..., ::-1], there, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.floats(8, 55), st.floats(8, 87), st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_places_inside_a_cell_are_recovered(x: float, y: float, sigma: float) -> None:
    heatmaps = drawn([(x, y)], sigma)
    for decoding, tolerance in (("shifted", 0.25), ("soft", 0.12)):
        places, heights = read_heatmaps(heatmaps, decoding)
        assert np.abs(places[0, 0] - (x, y)).max() <= tolerance * STRIDE + 1e-3
        assert heights[0, 0] == heatmaps.max()


def test_shift_goes_towards_the_higher_neighbour() -> None:
    heatmap = np.zeros((1, 1, 5, 5), dtype=np.float32)
    heatmap[0, 0, 2, 1:4] = 0.2, 1.0, 0.4
    heatmap[0, 0, 1, 2] = 0.6
    places, _ = read_heatmaps(heatmap)
    middle = 2 * STRIDE + 1.5
    np.testing.assert_allclose(places[0, 0], (middle + 0.25 * STRIDE, middle - 0.25 * STRIDE))


@pytest.mark.parametrize("decoding", ["shifted", "soft"])
@pytest.mark.parametrize("cell", [(0, 0), (15, 23), (0, 23), (15, 0)])
def test_peak_in_a_corner_stays_there(decoding, cell: tuple[int, int]) -> None:
    heatmap = np.zeros((1, 1, *SIZE), dtype=np.float32)
    heatmap[0, 0, cell[1], cell[0]] = 1
    places, _ = read_heatmaps(heatmap, decoding)
    np.testing.assert_allclose(places[0, 0], np.array(cell) * STRIDE + 1.5, atol=0.1)


def test_heatmap_without_a_hill_is_read_as_its_highest_cell() -> None:
    heatmap = np.full((1, 1, *SIZE), -1.0, dtype=np.float32)
    heatmap[0, 0, 7, 3] = -0.5
    places, heights = read_heatmaps(heatmap, "soft")
    np.testing.assert_allclose(places[0, 0], (3 * STRIDE + 1.5, 7 * STRIDE + 1.5), atol=1e-3)
    assert heights[0, 0] == -0.5


def test_spread_is_that_of_the_published_settings() -> None:
    assert (sigma_for(256 // STRIDE), sigma_for(384 // STRIDE), sigma_for(8)) == (2, 3, 1.5)

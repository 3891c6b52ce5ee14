from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hwtickets.tasks.segmentation.scenes import Scene
from hwtickets.tasks.segmentation.windows import WHOLE, Window, cut, random_window

FILLING = np.array([7, 255], np.uint8)
WINDOWS = st.builds(Window, st.floats(0.5, 2), st.floats(0, 1), st.floats(0, 1), st.booleans())


def ramp(height: int, width: int, along: int) -> Scene:
    """The same brightness in image and labels, 3 more with every pixel along one side."""
    values = np.broadcast_to(3 * np.indices((height, width))[along], (height, width))
    image = Image.fromarray(values.astype(np.uint8))
    return Scene(image, image.copy())


@given(WINDOWS, st.tuples(*[st.integers(8, 60)] * 4), st.integers(0, 1))
@settings(max_examples=150, deadline=None)
def test_image_and_labels_stay_aligned(window: Window, sides: tuple[int, int, int, int], along: int) -> None:
    scene, resolution = ramp(sides[0], sides[1], along), (sides[2], sides[3])
    pixels = cut(scene, window, resolution, FILLING).astype(int)
    drawn = pixels[..., 1] != 255
    assert drawn.any()
    assert (pixels[~drawn] == FILLING).all()
    # One pixel apart is all that sampling and rounding may do, in the image or in the window.
    scale = window.scale * min(resolution[0] / sides[0], resolution[1] / sides[1])
    apart = np.abs(pixels[drawn][:, 0] - pixels[drawn][:, 1])
    assert apart.max() <= 3 * max(1, 1 / scale) + 1


@given(WINDOWS)
@settings(max_examples=50, deadline=None)
def test_only_the_scene_is_labelled(window: Window) -> None:
    pixels = cut(ramp(20, 30, 1), window, (20, 30), FILLING)
    labelled = pixels[..., 1] != 255
    rows, columns = round(20 * min(1, window.scale)), round(30 * min(1, window.scale))
    assert labelled.sum() == rows * columns
    assert labelled[:rows, -columns:].all() if window.mirrored else labelled[:rows, :columns].all()


def test_a_whole_scene_of_the_right_size_is_left_as_it_is() -> None:
    scene = ramp(20, 30, 1)
    pixels = cut(scene, WHOLE, (20, 30), FILLING)
    assert np.array_equal(pixels[..., 0], np.asarray(scene.image))
    assert np.array_equal(pixels[..., 1], np.asarray(scene.labels))


def test_a_whole_scene_of_other_proportions_is_filled_up() -> None:
    pixels = cut(ramp(20, 20, 1), WHOLE, (10, 30), FILLING)
    assert (pixels[:, 10:] == FILLING).all()
    assert (pixels[:, :10, 1] != 255).all()
    assert pixels[0, 0, 0] < 4 < 50 < pixels[0, 9, 0], "all of the scene must be seen"


def test_mirroring_turns_image_and_labels() -> None:
    scene = ramp(20, 30, 1)
    plain, mirrored = (cut(scene, Window(1, 0, 0, turned), (20, 30), FILLING) for turned in (False, True))
    assert np.array_equal(plain[:, ::-1], mirrored)


def test_place_reaches_from_edge_to_edge() -> None:
    scene = ramp(40, 40, 0)
    first, last = (cut(scene, Window(2, 0, share, False), (40, 40), FILLING) for share in (0, 1))
    assert (first[0, 0, 0], last[-1, 0, 0]) == (0, 117)


def test_random_windows_use_their_ranges() -> None:
    generator = np.random.default_rng(0)
    windows = [random_window(generator) for _ in range(500)]
    scales = [window.scale for window in windows]
    assert 0.5 <= min(scales) < 0.52
    assert 1.98 < max(scales) <= 2
    assert sum(window.mirrored for window in windows) == pytest.approx(250, abs=40)
    assert np.mean([(window.across, window.down) for window in windows], 0) == pytest.approx(0.5, abs=0.05)

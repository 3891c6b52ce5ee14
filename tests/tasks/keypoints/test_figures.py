from __future__ import annotations

import numpy as np

from hwtickets.tasks.keypoints.datasets import load_persons
from hwtickets.tasks.keypoints.figures import NAMES, draw_figure
from hwtickets.tasks.keypoints.persons import DrawnImages, PersonSplit


def pixels(split: PersonSplit) -> np.ndarray:
    assert isinstance(split.images, DrawnImages)
    return split.images.pixels


def test_splits_have_their_sizes_and_differ() -> None:
    data = load_persons("figures:12", (64, 48))
    splits = data.train, data.validation, data.test
    assert [len(split.persons) for split in splits] == [12, 3, 3]
    assert [pixels(split).shape[1:] for split in splits] == [(64, 48, 3)] * 3
    assert len(data.skeleton.names) == 13
    assert not any((pixels(data.train)[:3] == pixels(split)).all() for split in splits[1:])


def test_fewer_figures_are_the_first_of_more_whatever_the_seed() -> None:
    few, more = load_persons("figures:4", (48, 48), seed=1), load_persons("figures:9", (48, 48), seed=2)
    np.testing.assert_array_equal(pixels(few.train), pixels(more.train)[:4])
    np.testing.assert_array_equal(few.train.persons.joints, more.train.persons.joints[:4])


def test_joints_lie_in_the_box_and_the_box_on_the_image() -> None:
    for seed in range(40):
        _, joints, box = draw_figure(np.random.default_rng(seed), (60, 80))
        edges = joints + 0.5
        assert (edges >= box[:2] - 1e-9).all() and (edges <= box[:2] + box[2:] + 1e-9).all()
        assert (box[:2] >= 0).all() and (box[:2] + box[2:] <= (80, 60)).all()


def test_figures_face_the_viewer() -> None:
    for seed in range(40):
        _, joints, _ = draw_figure(np.random.default_rng(seed), (60, 60))
        left, right = (joints[NAMES.index(f"{side}_shoulder"), 0] for side in ("left", "right"))
        assert left > right


def test_body_is_drawn_where_the_joints_say() -> None:
    """The middle of shoulders and hips has the colour of the body, which is far from the background's."""
    for seed in range(20):
        picture, joints, _ = draw_figure(np.random.default_rng(seed), (96, 96))
        corners = [
            NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip")
        ]
        x, y = joints[corners].mean(0).round().astype(int)
        body = picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)
        assert (body == body[0]).all()

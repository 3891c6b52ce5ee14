from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hwtickets.errors import HwticketsError
from hwtickets.tasks.keypoints.affine import crop_matrices, mapped
from hwtickets.tasks.keypoints.crops import MEAN, STD, crops_of, moved_joints, random_matrices
from hwtickets.tasks.keypoints.persons import DrawnImages, ImageFiles

SIZE = (64, 48)
BOXES = np.array([[20.0, 10.0, 30.0, 60.0]] * 40)


def dot(x: int, y: int) -> DrawnImages:
    """A white square of 5x5 pixels on black."""
    pixels = np.zeros((1, 90, 80, 3), dtype=np.uint8)
    pixels[0, y - 2 : y + 3, x - 2 : x + 3] = 255
    return DrawnImages(pixels)


def centers(crops: torch.Tensor) -> np.ndarray:
    """Where the light of every crop is."""
    light = (crops * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None])[:, 0].double()
    rows, columns = torch.arange(SIZE[0]).double(), torch.arange(SIZE[1]).double()
    total = light.sum((1, 2))
    return torch.stack(
        [(light.sum(1) * columns).sum(1) / total, (light.sum(2) * rows).sum(1) / total], 1
    ).numpy()


def test_pixels_go_where_joints_go() -> None:
    """Scaled, turned and mirrored: the picture's white square stays under the joint."""
    matrices, mirrored = random_matrices(BOXES, SIZE, np.random.default_rng(3))
    assert 5 < mirrored.sum() < 35
    crops = crops_of(dot(37, 42), np.zeros(40, dtype=np.int64), matrices, SIZE)
    joint = mapped(matrices, np.full((40, 1, 2), (37.0, 42.0)))[:, 0]
    assert crops.shape == (40, 3, *SIZE)
    np.testing.assert_allclose(centers(crops), joint, atol=0.15)


def test_draws_stay_within_their_ranges_and_differ() -> None:
    plain, drawn = crop_matrices(BOXES, SIZE), random_matrices(BOXES, SIZE, np.random.default_rng(0))[0]
    zoom = np.sqrt(np.abs(np.linalg.det(plain[:, :, :2]) / np.linalg.det(drawn[:, :, :2])))
    assert 0.65 <= zoom.min() < 0.8 < 1.2 < zoom.max() <= 1.35
    degrees = np.degrees(np.arctan2(drawn[:, 1, 0], drawn[:, 1, 1]))
    assert -45 <= degrees.min() < -25 < 25 < degrees.max() <= 45


def test_mirrored_crops_swap_left_and_right() -> None:
    joints = np.array([[[25.0, 30.0, 2], [45.0, 30.0, 1], [35.0, 60.0, 0]]])
    partners = np.array([1, 0, 2])
    box = BOXES[:1]
    plain = moved_joints(joints, crop_matrices(box, SIZE), SIZE, np.array([False]), partners)
    mirrored = moved_joints(joints, crop_matrices(box, SIZE, mirrored=True), SIZE, np.array([True]), partners)
    np.testing.assert_allclose(mirrored[0, 0, 0], SIZE[1] - 1 - plain[0, 1, 0], atol=1e-4)
    np.testing.assert_allclose(mirrored[0, 1, 0], SIZE[1] - 1 - plain[0, 0, 0], atol=1e-4)
    assert plain[0, :, 2].tolist() == mirrored[0, :, 2].tolist() == [1, 1, 0]


def test_joints_off_the_crop_do_not_count() -> None:
    joints = np.array([[[35.0, 40.0, 2], [35.0, 400.0, 2], [-300.0, 40.0, 2]]])
    targets = moved_joints(joints, crop_matrices(BOXES[:1], SIZE), SIZE, np.array([False]), np.arange(3))
    assert targets[0, :, 2].tolist() == [1, 0, 0]


def test_what_lies_outside_the_image_is_black() -> None:
    white = DrawnImages(np.full((1, 20, 20, 3), 255, dtype=np.uint8))
    crop = crops_of(
        white, np.zeros(1, dtype=np.int64), crop_matrices(np.array([[-20.0, 0, 40, 20]]), SIZE), SIZE
    )
    pixels = crop[0] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    torch.testing.assert_close(pixels[:, 32, 2], torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels[:, 32, 36], torch.ones(3), atol=1e-5, rtol=0)


def test_file_that_is_no_image_is_named(tmp_path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    Image.new("L", (30, 30), 200).save(tmp_path / "b.png")
    images = ImageFiles([tmp_path / "a.jpg", tmp_path / "b.png"])
    matrices = crop_matrices(np.array([[0.0, 0, 30, 30]]), SIZE)
    assert crops_of(images, np.array([1]), matrices, SIZE).shape == (1, 3, *SIZE)
    with pytest.raises(HwticketsError, match=r"a\.jpg is damaged or is not an image"):
        crops_of(images, np.array([0]), matrices, SIZE)

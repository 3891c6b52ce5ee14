"""What is seen of the pictures of a folder: random parts in training, the middle otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks import image_folder as room
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.images import open_image, read_size
from hwtickets.tasks.parts import load_part


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Pictures of 80x40 pixels whose red says how far right a pixel is, and whose green how far down."""
    down, across = np.mgrid[0:40, 0:80]
    pixels = np.stack([255 * (across + 0.5) / 80, 255 * (down + 0.5) / 40, 0 * down], 2).round()
    for part, name in ((part, name) for part in ("train", "val", "test") for name in ("cats", "dogs")):
        folder = tmp_path / "places" / part / name
        folder.mkdir(parents=True)
        for index in range(8):
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "places"


def build(folder: Path, smallest_crop: float = 0.08) -> Classification:
    task = build_task(
        "classification", TaskSettings(f"folder:{folder}", (16, 16), 8, smallest_crop=smallest_crop)
    )
    assert isinstance(task, Classification)
    return task


def seen(task: Classification, images: torch.Tensor) -> torch.Tensor:
    """The part of the picture, 0 to 1, that each image shows: left, right, top and bottom, (B, 4)."""
    dataset = task.dataset
    pixels = images * dataset.std[:, None, None] + dataset.mean[:, None, None]
    red, green = pixels[:, 0].mean(1), pixels[:, 1].mean(2)
    # The outermost of 16 pixels show a point half a pixel within the part.
    edges = [(side[:, 0] * 31 - side[:, -1]) / 30 for side in (red, green)]
    ends = [(side[:, -1] * 31 - side[:, 0]) / 30 for side in (red, green)]
    return torch.stack([edges[0], ends[0], edges[1], ends[1]], 1)


def test_training_shows_random_parts_of_the_original_picture(places: Path) -> None:
    task = build(places)
    left, right, top, bottom = torch.cat([seen(task, task.train_batch(step)[0]) for step in range(8)]).T
    mirrored = right < left
    assert 0.2 < mirrored.float().mean() < 0.8
    across, down = (right - left).abs(), bottom - top
    shares = across * down
    assert shares.min() < 0.2 and shares.max() > 0.4, "the whole height is 2/3 of the width at most"
    stretch = across * 80 / (down * 40)
    assert stretch.min() < 0.85 and stretch.max() > 1.2, "before it is scaled"
    assert torch.minimum(left, right).min() > -0.03 and torch.maximum(left, right).max() < 1.03


def test_the_smallest_part_can_be_chosen(places: Path) -> None:
    task = build(places, smallest_crop=0.5)
    left, right, top, bottom = seen(task, task.train_batch(0)[0]).T
    assert ((right - left).abs() * (bottom - top)).min() > 0.45
    own, default = (next(one.test_batches())[0] for one in (task, build(places)))
    assert torch.equal(own, default), "the score is of the same pixels"


def test_evaluation_shows_the_middle_of_the_picture(places: Path) -> None:
    task = build(places)
    half = 0.875 / 2
    expected = torch.tensor([0.5 - half / 2, 0.5 + half / 2, 0.5 - half, 0.5 + half])
    batches = (task.validation_batches(), task.test_batches())
    for images in (*(next(batch)[0] for batch in batches), task.calibration_batch(0)):
        torch.testing.assert_close(seen(task, images), expected.expand(len(images), 4), atol=0.02, rtol=0)
    assert task.preprocessing()["crop_share"] == 0.875


def test_what_training_shows_depends_on_seed_and_step_alone(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = build(places).train_batch(3)
    task = build(places)
    parts = [load_part(task, 3, index, 4) for index in range(4)]
    assert torch.equal(torch.cat([part[0] for part in parts]), images)
    assert torch.equal(torch.cat([part[1] for part in parts]), labels)
    assert not torch.equal(task.train_batch(5)[0], images)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    monkeypatch.setattr(room, "LARGEST_IN_MEMORY_BYTES", 0)
    assert torch.equal(build(places).train_batch(3)[0], images), "however many threads, from memory or not"


def test_large_jpegs_are_decoded_no_larger_than_needed(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1200), "red").save(tmp_path / "0.jpg")
    for least, size in ((57, (200, 150)), (151, (400, 300)), (1000, (1600, 1200))):
        assert open_image(tmp_path / "0.jpg", "RGB", least).size == size
        assert read_size(tmp_path / "0.jpg", "RGB", least) == size
    assert open_image(tmp_path / "0.jpg", "L").size == (1600, 1200)

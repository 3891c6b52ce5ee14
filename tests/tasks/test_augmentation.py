from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hwtickets.tasks.augmentation import normalise, shift_and_flip


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (64, 12, 10, 3), dtype=np.uint8)


def find_move(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, int, int]:
    """The one shift (0 to 4 each way) and direction of columns that turns an image into the other."""
    padded = np.pad(before, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    (move,) = [
        (dy, dx, step)
        for dy, dx, step in itertools.product(range(5), range(5), (1, -1))
        if np.array_equal(padded[dy : dy + 12, dx : dx + 10][:, ::step], after)
    ]
    return move


def test_every_result_is_a_shifted_and_perhaps_mirrored_image(images: NDArray[np.uint8]) -> None:
    result = shift_and_flip(images, 2, np.random.default_rng(0))
    moves = [find_move(before, after) for before, after in zip(images, result, strict=True)]
    assert {dy for dy, _, _ in moves} == {dx for _, dx, _ in moves} == set(range(5))
    assert {step for _, _, step in moves} == {1, -1}


def test_same_generator_state_gives_the_same_batch(images: NDArray[np.uint8]) -> None:
    first, again, other = (shift_and_flip(images, 2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_normalise_agrees_with_its_formula(images: NDArray[np.uint8]) -> None:
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 1.0])
    result = normalise(images, mean, std)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hwtickets.tasks.augmentation import normalise, random_draws, random_window, shift_and_flip


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


@pytest.mark.parametrize(("size", "largest"), [((500, 375), 1.0), ((90, 90), 1.0), ((64, 200), 0.425)])
def test_random_windows_are_parts_of_every_size_that_is_asked_for(
    size: tuple[int, int], largest: float
) -> None:
    width, height = size
    draws = random_draws(400, np.random.default_rng(0))
    windows = np.array([random_window(row, size, 0.08) for row in draws])
    assert windows.min() >= 0 and (windows[:, 2:] <= size).all()
    across, down = (windows[:, 2:] - windows[:, :2]).T
    shares = across * down / (width * height)
    assert 0.07 < shares.min() < 0.15 and largest - 0.1 < shares.max() <= largest
    longer = np.maximum(across / down, down / across)
    assert 1.25 < longer.max() < 1.4, "up to a third longer, but for rounding"
    assert windows[:, 0].min() < 0.1 * width and windows[:, 2].max() > 0.9 * width
    assert windows[:, 1].min() < 0.1 * height and windows[:, 3].max() > 0.9 * height


def test_of_a_picture_that_is_too_long_for_any_window_the_middle_is_taken() -> None:
    (draws,) = random_draws(1, np.random.default_rng(0))
    assert random_window(draws, (900, 9), 0.5) == (444, 0, 456, 9)
    assert random_window(draws, (9, 900), 0.5) == (0, 444, 9, 456)


def test_of_a_square_the_largest_window_is_all_of_it() -> None:
    draws = random_draws(50, np.random.default_rng(0))
    sides = {random_window(row, (40, 40), 1.0)[2:] for row in draws}
    assert (40, 40) in sides and len(sides) < 5

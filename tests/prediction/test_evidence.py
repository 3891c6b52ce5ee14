from __future__ import annotations

import numpy as np
import pytest

from hwtickets.prediction.evidence import least_surprising, squared_distances, surprise, weighted_sum


def _covariance(scale: float, points: np.ndarray) -> np.ndarray:
    return np.exp(-scale * squared_distances(points, points)) + 0.1 * np.eye(len(points))


def test_distances_are_those_between_rows_and_never_negative() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(7, 3)), random.normal(size=(5, 3))
    expected = ((one[:, None] - other[None]) ** 2).sum(axis=2)
    assert squared_distances(one, other) == pytest.approx(expected)
    far = 1e8 + one
    assert (squared_distances(far, far) >= 0).all()


def test_matrices_are_added_with_their_factors() -> None:
    parts = [np.eye(2), np.ones((2, 2))]
    assert weighted_sum([2.0, 0.5], parts, 2).tolist() == [[2.5, 0.5], [0.5, 2.5]]
    assert weighted_sum([], [], 2).tolist() == [[0, 0], [0, 0]]
    assert parts[0].tolist() == [[1, 0], [0, 1]]


def test_the_surprise_is_that_of_a_normal_distribution_and_its_slope_is_right() -> None:
    random = np.random.default_rng(1)
    points, targets = random.normal(size=(6, 2)), random.normal(size=6)
    covariance = _covariance(0.5, points)
    value, slope = surprise(covariance, targets)
    determinant = np.linalg.slogdet(covariance)[1]
    assert value == pytest.approx(0.5 * (targets @ np.linalg.inv(covariance) @ targets + determinant))
    step = np.zeros((6, 6))
    step[1, 1] = 1e-6
    risen, _ = surprise(covariance + step, targets)
    assert (risen - value) / 1e-6 == pytest.approx(0.5 * slope[1, 1], rel=1e-3)


def test_the_least_surprising_noise_is_the_one_that_was_added() -> None:
    targets = np.random.default_rng(2).normal(0, 0.3, 400)

    def of(log_deviation: np.ndarray) -> tuple[float, np.ndarray]:
        variance = float(np.exp(2 * log_deviation[0]))
        value, slope = surprise(variance * np.eye(400), targets)
        return value, np.array([variance * np.trace(slope)])

    (found,) = least_surprising(of, np.zeros(1), [(-5.0, 5.0)], 50)
    assert np.exp(found) == pytest.approx(0.3, rel=0.1)
    (bounded,) = least_surprising(of, np.zeros(1), [(-0.5, 5.0)], 50)
    assert bounded == pytest.approx(-0.5)

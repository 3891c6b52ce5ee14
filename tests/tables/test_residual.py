from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hwtickets.tables.residual import Residual

Array = NDArray[np.float64]


def _points(count: int, seed: int) -> tuple[Array, Array]:
    """Three numbers, of which one does nothing, and a category of two columns; a bend, a bump and noise."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(-2, 2, (count, 3))
    odd = random.integers(0, 2, count)
    features = np.column_stack([numbers, odd == 0, odd == 1]).astype(float)
    targets = (
        0.3 * np.sin(2 * numbers[:, 0]) + 0.2 * odd * numbers[:, 1] + 0.02 * random.standard_normal(count)
    )
    return features, targets


_GROUPS = [0, 1, 2, 3, 3]


def test_it_learns_what_depends_on_the_features() -> None:
    features, targets = _points(200, 0)
    unseen, expected = _points(100, 1)
    found, doubt = Residual.fit(features, _GROUPS, targets).predict(unseen)
    assert np.abs(found - expected).mean() < 0.2 * np.abs(expected).mean()
    assert 0.5 < (np.abs(found - expected) <= doubt).mean() < 0.95


def test_far_from_all_points_it_leaves_the_formula_alone() -> None:
    features, targets = _points(200, 0)
    residual = Residual.fit(features, _GROUPS, targets + 0.0)
    near, far = features[:1], features[:1] + 1e4
    assert abs(residual.predict(far)[0][0]) < 1e-6
    assert residual.predict(far)[1][0] > 2 * residual.predict(near)[1][0]


def test_held_out_misses_are_those_of_a_regression_without_the_point() -> None:
    features, targets = _points(60, 2)
    residual = Residual.fit(features, _GROUPS, targets)
    points, index = residual.points, 17
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    distance = np.sqrt(3 * squares)
    kernel = residual.variance * (1 + distance) * np.exp(-distance)
    others = np.delete(np.arange(60), index)
    inner = kernel[np.ix_(others, others)] + residual.noise * np.eye(59)
    expected = kernel[index, others] @ np.linalg.solve(inner, targets[others])
    assert targets[index] - residual.held_out[index] == pytest.approx(expected, abs=1e-5)


def test_a_column_that_never_changes_does_no_harm() -> None:
    features, targets = _points(80, 3)
    constant = np.column_stack([features, np.ones(80)])
    residual = Residual.fit(constant, [*_GROUPS, 4], targets)
    assert np.isfinite(residual.predict(constant)[0]).all()

"""What a formula leaves unexplained, learnt from measured points: kernel regression with a fitted kernel.

A Gaussian process with a Matern 3/2 kernel: near a measured point it corrects as that point asks, far from
all of them it leaves the formula alone. Columns of features that belong together (the indicators of a
category) share one length scale, which the marginal likelihood chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.prediction.evidence import least_surprising, squared_distances, surprise, weighted_sum
from hwtickets.prediction.features import Matrix, Vector

#: The kernel is chosen on this many points: time grows with their cube.
_TUNED_POINTS = 500
_TUNING_STEPS = 60
#: Logarithms of length scales are expected here (features have a deviation of 1), give or take.
_USUAL_SCALE, _SCALE_SPREAD = 1.0, 6.0
_JITTER = 1e-8


@dataclass(frozen=True)
class Residual:
    """A fitted correction; `Residual.fit` makes one.

    Attributes:
        points: Features of the measured points, scaled by their length scales, (n, d).
        weights: Of the points in a prediction, (n,).
        variance: Of the correction far from all points.
        noise: Variance of a single measurement.
        held_out: What each point's target would have been missed by without it, (n,).
        doubt: Of a correction with a deviation of 1, what two in three held-out points missed by.
    """

    points: Matrix
    weights: Vector
    variance: float
    noise: float
    held_out: Vector
    doubt: float
    _centre: Vector
    _scale: Vector

    @classmethod
    def fit(cls, features: Matrix, groups: Sequence[int], targets: Vector, seed: int = 0) -> Residual:
        """Chooses the kernel and learns the correction.

        Args:
            features: (n, d) numbers.
            groups: For each column the group whose length scale it shares, counted from 0.
            targets: (n,), e.g. logarithms of measured over formula.
            seed: Chooses the points that the kernel is tuned on.
        """
        from scipy.linalg import cho_solve, cholesky

        centre, membership = features.mean(axis=0), np.asarray(groups)
        # A category scattered over many columns has the deviation of all of them together.
        deviation = np.sqrt(np.bincount(membership, features.var(axis=0)))[membership]
        scale = np.where(deviation > 0, deviation, 1.0)
        standard = (features - centre) / scale
        chosen = np.random.default_rng(seed).permutation(len(targets))[:_TUNED_POINTS]
        constants = _tuned(standard[chosen], membership, targets[chosen])
        lengths = np.exp(constants[:-2])[membership]
        variance, noise = np.exp(2 * constants[-2:]).tolist()
        points = standard / lengths
        kernel = variance * _matern(squared_distances(points, points))
        kernel[np.diag_indices(len(targets))] += noise + _JITTER
        factor = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(len(targets)), overwrite_b=True, check_finite=False)
        weights = inverse @ targets
        held_out = weights / np.diag(inverse)
        fitted = cls(points, weights, variance, noise, held_out, 1.0, centre, scale * lengths)
        apart = _matern(squared_distances(points, points))
        np.fill_diagonal(apart, 0.0)
        usual = np.quantile(np.abs(held_out) / fitted._deviation(apart.max(axis=1)), 2 / 3)
        return cls(points, weights, variance, noise, held_out, float(usual), centre, scale * lengths)

    def predict(self, features: Matrix) -> tuple[Vector, Vector]:
        """Corrections (m,), and what two in three of them miss by at most, (m,)."""
        parts = [self._part(part) for part in np.array_split(features, max(1, len(features) // 2000))]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _part(self, features: Matrix) -> tuple[Vector, Vector]:
        near = _matern(squared_distances((features - self._centre) / self._scale, self.points))
        return self.variance * (near @ self.weights), self.doubt * self._deviation(near.max(axis=1))

    def _deviation(self, nearest: Vector) -> Vector:
        """Standard deviation of a target given the nearest point alone: an upper bound, and quick."""
        known = self.variance * nearest**2 / (1 + self.noise / self.variance)
        return np.sqrt(self.variance - known + self.noise + _JITTER)


def _matern(squares: Matrix) -> Matrix:
    distance = np.sqrt(3 * squares)
    return (1 + distance) * np.exp(-distance)


def _tuned(features: Matrix, groups: NDArray[np.int_], targets: Vector) -> Vector:
    """Logarithms of the length scales of the groups, of the correction's deviation and of the noise's."""
    count = int(groups.max()) + 1
    columns = [features[:, groups == group] for group in range(count)]
    squares = [squared_distances(part, part) for part in columns]
    deviation = max(float(targets.std()), 1e-3)
    start = np.concatenate([np.full(count, _USUAL_SCALE), [np.log(deviation / 1.5), np.log(deviation / 3)]])
    bounds = [(-2.0, 6.0)] * count + [(-8.0, 2.0), (-6.0, 1.0)]
    start = np.clip(start, [low for low, _ in bounds], [high for _, high in bounds])
    return least_surprising(lambda tried: _surprise(tried, squares, targets), start, bounds, _TUNING_STEPS)


def _surprise(constants: Vector, squares: Sequence[Matrix], targets: Vector) -> tuple[float, Vector]:
    """Negative logarithm of the marginal likelihood and of the length scales' prior, and its gradient."""
    count = len(squares)
    shrink = np.exp(-2 * constants[:count])
    distance = np.sqrt(3 * weighted_sum(shrink, squares, len(targets)))
    decay, variance, noise = np.exp(-distance), *np.exp(2 * constants[count:])
    kernel = variance * (1 + distance) * decay
    covariance = kernel.copy()
    covariance[np.diag_indices_from(covariance)] += noise + _JITTER
    value, excess = surprise(covariance, targets)
    off = constants[:count] - _USUAL_SCALE
    pulled = -1.5 * variance * decay * excess
    gradient = np.empty_like(constants)
    for index, part in enumerate(squares):
        gradient[index] = -shrink[index] * np.vdot(pulled, part) + off[index] / _SCALE_SPREAD**2
    gradient[count] = np.vdot(excess, kernel)
    gradient[count + 1] = noise * np.trace(excess)
    return value + 0.5 * (off**2).sum() / _SCALE_SPREAD**2, gradient

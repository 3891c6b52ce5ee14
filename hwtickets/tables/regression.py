"""What latencies of networks say about their operators: a Gaussian regression.

Each operator is the formula of its group, plus what its families have in common, plus its own deviation. How
far operators deviate, and how far networks are from the sum of their operators, differs from device to device
(a GPU picks another kernel for one channel more): both are those that make the measurements most likely.
Everything is relative to the measured values, of which a network's error is a share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.families import formula_terms, group, members, non_decreasing
from hwtickets.tables.observations import Matrix, Observations, Vector

#: Relative standard deviation of a family around its group's formula.
_FAMILY_SPREAD = 0.5
#: Candidates for the relative standard deviation of a network around the sum of its operators, and for that
#: of an operator around its family.
_NETWORK_NOISES = (0.005, 0.01, 0.02, 0.04)
_OPERATOR_SPREADS = (0.03, 0.06, 0.12, 0.25, 0.5)
#: The formula is fitted before they are known.
_FIRST_NOISE = 0.01
#: An operator is never believed to be faster than this share of its group's formula.
_LEAST_SHARE = 0.2
_FEWEST_IN_FAMILY = 3


class Regression:
    """Latencies of operators, and of networks made of them, with their doubt.

    Args:
        observed: What was measured; at least one network.
        specs: The operators that are its columns.

    Attributes:
        latency_ms: Latency of each operator.
        spread_ms: Standard error of each operator's latency.
        offset_ms: Latency of a network without operators.
        noise: Relative standard deviation of networks around the sum of their operators: what no further
            measurement takes away.
    """

    def __init__(self, observed: Observations, specs: Sequence[OperatorSpec]) -> None:
        formula, offset_ms = _formula(observed, specs)
        floor = formula[formula > 0].min() if (formula > 0).any() else 1e-3
        # Operators that the formula calls free may deviate like the cheapest of the others.
        base = np.maximum(formula, floor)
        shared = _FAMILY_SPREAD * _family_columns(specs, base)
        explained_ms = observed.operators @ formula + observed.fixed[:, 0] * offset_ms
        residual = 1.0 - explained_ms / observed.values
        parts = _Parts(observed, base, shared)
        self.noise, spread = parts.most_likely(residual)
        self._fixed_ms = parts.fixed_ms
        self._own, self._shared = spread * base, shared
        weights, self._explained = parts.solve(residual, self.noise, spread)
        features = self._features(np.eye(len(specs)), 0.0)
        latency = np.maximum(formula + features @ weights, _LEAST_SHARE * formula)
        self.spread_ms = np.sqrt(self._variances(features))
        self.latency_ms = _isotonic(specs, latency, self.spread_ms)
        self.offset_ms = max(0.0, offset_ms + float(weights[-2]) * self._fixed_ms[0])

    def predict(self, counts: Matrix) -> Vector:
        """Latencies of networks in ms, from how often each has each operator."""
        return self.offset_ms + counts @ self.latency_ms

    def doubt(self, counts: Matrix) -> Matrix:
        """Covariance of the relative errors of predictions, without the noise; shape (networks, networks)."""
        features = self._features(counts, 1.0) / self.predict(counts)[:, None]
        explained = features @ self._explained.T
        return features @ features.T - explained @ explained.T

    def _features(self, counts: Matrix, offsets: float) -> Matrix:
        """Latencies as sums of independent standard normal numbers: own, shared, offset, profiling cost."""
        fixed = np.full((len(counts), 2), [offsets * self._fixed_ms[0], 0.0])
        return np.hstack([counts * self._own, counts @ self._shared, fixed])

    def _variances(self, features: Matrix) -> Vector:
        explained = features @ self._explained.T
        return np.maximum((features**2).sum(axis=1) - (explained**2).sum(axis=1), 0.0)


class _Parts:
    """The equations relative to their values, in the parts of which the regression is made."""

    def __init__(self, observed: Observations, base: Vector, shared: Matrix) -> None:
        self._noise = observed.noise
        # Offset and profiling cost may be anything up to the largest value.
        self.fixed_ms = np.array([observed.values.max()] * 2)
        relative = observed.operators / observed.values[:, None]
        self._own = relative * base
        self._shared = relative @ shared
        self._fixed = observed.fixed * self.fixed_ms / observed.values[:, None]

    def most_likely(self, residual: Vector) -> tuple[float, float]:
        """Noise of networks and spread of operators, by the evidence of the equations."""
        own = self._own @ self._own.T
        rest = self._shared @ self._shared.T + self._fixed @ self._fixed.T

        def evidence(noise: float, spread: float) -> float:
            root, whitened = self._whitened(spread**2 * own + rest, noise, residual[:, None])
            return float(-0.5 * (whitened**2).sum() - np.log(np.diag(root)).sum())

        spread = max(_OPERATOR_SPREADS, key=lambda spread: evidence(_FIRST_NOISE, spread))
        return max(_NETWORK_NOISES, key=lambda noise: evidence(noise, spread)), spread

    def solve(self, residual: Vector, noise: float, spread: float) -> tuple[Vector, Matrix]:
        """Means of the standard normal numbers, and a root of what the equations take off their variance."""
        features = np.hstack([spread * self._own, self._shared, self._fixed])
        _, whitened = self._whitened(features @ features.T, noise, np.column_stack([residual, features]))
        return whitened[:, 1:].T @ whitened[:, 0], whitened[:, 1:]

    def _whitened(self, covariance: Matrix, noise: float, columns: Matrix) -> tuple[Matrix, Matrix]:
        from scipy.linalg import cholesky, solve_triangular

        root = cholesky(covariance + np.diag(self._noise(noise) ** 2), lower=True)
        return root, solve_triangular(root, columns, lower=True)


def _formula(observed: Observations, specs: Sequence[OperatorSpec]) -> tuple[Vector, float]:
    """Latency of each operator by its group's formula, and the offset; no coefficient is negative."""
    from scipy.optimize import nnls

    groups = list(dict.fromkeys(group(spec) for spec in specs))
    terms = np.zeros((len(specs), 3 * len(groups)))
    for index, spec in enumerate(specs):
        first = 3 * groups.index(group(spec))
        terms[index, first : first + 3] = formula_terms(spec)
    noise = observed.noise(_FIRST_NOISE)
    equations = np.hstack([observed.fixed, observed.operators @ terms]) / (noise * observed.values)[:, None]
    size = np.linalg.norm(equations, axis=0)
    size[size == 0] = 1.0
    solution = nnls(equations / size, 1 / noise)[0] / size
    return terms @ solution[2:], float(solution[0])


def _family_columns(specs: Sequence[OperatorSpec], base: Vector) -> Matrix:
    """How families may deviate from the formula: a level and a slope each; (operators, 2 families)."""
    index = {spec: position for position, spec in enumerate(specs)}
    columns = []
    for entries in members(specs, _FEWEST_IN_FAMILY).values():
        where = [index[spec] for _, spec in entries]
        widths = np.array([width for width, _ in entries], float)
        level, slope = np.zeros(len(specs)), np.zeros(len(specs))
        level[where] = base[where].mean()
        slope[where] = base[where].mean() * (widths / widths.mean() - 1)
        columns += [level, slope]
    return np.stack(columns, axis=1) if columns else np.zeros((len(specs), 0))


def _isotonic(specs: Sequence[OperatorSpec], latency: Vector, spread: Vector) -> Vector:
    """More channels are never faster: each family gets non-decreasing in its width, larger families last."""
    index = {spec: position for position, spec in enumerate(specs)}
    result = latency.copy()
    for entries in sorted(members(specs, _FEWEST_IN_FAMILY).values(), key=len):
        where = [index[spec] for _, spec in entries]
        result[where] = non_decreasing(result[where], 1.0 / np.maximum(spread[where], 1e-9) ** 2)
    return result

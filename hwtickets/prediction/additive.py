"""Latency as a sum: a fixed cost, and a price for every term of the work, none of them negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwtickets.prediction.features import Index, Matrix, Vector

#: Strengths of the penalty on prices, see `AdditiveModel.fit`: those worth trying with few networks for each
#: term, and with many. The weak one takes most of its price from a term that one network in some hundred has.
WEAK = 1e-3
STRENGTHS = (WEAK, 1e-2, 1e-1, 1.0)
STRENGTHS_OF_MANY = (1e-5, WEAK)
#: Errors, as shares, within which squares count, see `AdditiveModel.fit`: for a device whose times scatter
#: whatever runs, and for one that repeats itself but for a few networks.
EXACT = 0.003
REACHES = (0.05, EXACT)
#: Rounds of reweighting.
_ROUNDS = 15
_SETTLED = 1e-4
#: Variance of a prediction that has to guess a price, over that of a measurement.
_GUESSED = 25.0
#: Predictions stay above this share of the fastest network of the fit.
_LOWEST_SHARE = 0.5


@dataclass(frozen=True)
class AdditiveModel:
    """Prices of the terms of the work.

    Attributes:
        offset_ms: Latency of a network without work.
        price_ms: Of one unit of each term.
        lowest_ms: No prediction is lower.
        spread: Covariance of offset and prices in a fit of unit error, for `leverage`.
        seen: Which terms any network of the fit has.
    """

    offset_ms: float
    price_ms: Vector
    lowest_ms: float
    spread: Matrix
    seen: Index

    @classmethod
    def fit(
        cls, work: Matrix, latency_ms: Vector, strength: float = WEAK, reach: float = EXACT
    ) -> AdditiveModel:
        """Finds the prices with the least mean relative error.

        Of a large error its size counts and not its square, so networks that were measured while the machine
        was busy do not draw the prices towards them; small ones count by their squares, of which fewer
        networks say as much (Huber 1964, Robust estimation of a location parameter).

        Args:
            work: (networks, terms), never negative.
            latency_ms: Measured, positive.
            strength: Of a penalty on the squared prices, each as far as it matters, over the squared share of
                networks that have the term: of terms that explain the same, the one that more networks have
                is believed. The more terms to a network, the stronger it has to be.
            reach: Relative errors within this are small; positive.
        """
        terms = np.hstack([np.ones((len(work), 1)), work]) / latency_ms[:, None]
        size = np.sqrt((terms**2).mean(axis=0))
        size[size == 0] = 1.0
        terms /= size
        share = np.maximum((terms > 0).mean(axis=0), 1 / len(terms))
        penalty = strength / len(terms) / share**2
        weights = np.ones(len(terms))
        prices = np.zeros(terms.shape[1])
        for _ in range(_ROUNDS):
            before, prices = prices, _least_squares(terms, weights, penalty)
            if np.abs(prices - before).max() <= _SETTLED * np.abs(prices).max():
                break
            weights = 1.0 / np.maximum(np.abs(terms @ prices - 1.0), reach)
        prices = prices * _least_mean_error(terms @ prices)
        spread = np.linalg.inv(terms.T @ terms + len(terms) * np.diag(penalty))
        return cls(
            float(prices[0] / size[0]),
            prices[1:] / size[1:],
            _LOWEST_SHARE * float(latency_ms.min()),
            spread / np.outer(size, size),
            np.asarray((work > 0).any(axis=0)),
        )

    def predict(self, work: Matrix) -> Vector:
        """Latency of each network in ms."""
        return np.maximum(self.offset_ms + work @ self.price_ms, self.lowest_ms)

    def leverage(self, work: Matrix) -> Vector:
        """Variance of each prediction over that of a measurement: near 0 amid the fit, large far off it."""
        terms = np.hstack([np.ones((len(work), 1)), work]) / self.predict(work)[:, None]
        guessed = (work[:, ~self.seen] > 0).any(axis=1)
        return np.einsum("ij,jk,ik->i", terms, self.spread, terms) + _GUESSED * guessed


def _least_mean_error(predicted: Vector) -> float:
    """The factor of predictions, given as shares of what was measured, with the least mean error."""
    place = np.argsort(-predicted)
    until = np.cumsum(predicted[place])
    median = predicted[place[np.searchsorted(until, until[-1] / 2)]]
    return 1.0 / float(median) if median > 0 else 1.0


def _least_squares(terms: Matrix, weights: Vector, penalty: Vector) -> Vector:
    """Solution without negative values of terms @ solution = 1."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import nnls

    weights = weights / weights.sum()
    normal = (terms * weights[:, None]).T @ terms
    normal[np.diag_indices_from(normal)] += penalty
    root = cholesky(normal)
    target = solve_triangular(root, terms.T @ weights, trans="T")
    solution: Vector = nnls(root, target, maxiter=50 * len(target))[0]
    return solution

"""What a sum of prices gets wrong, as a smooth function of the traits: a Gaussian process.

A linear and a Matern 5/2 kernel with one length scale for each trait, found by maximum marginal likelihood on
some of the networks; many networks are represented by some of them (deterministic training conditional,
Quinonero-Candela and Rasmussen 2005). Outliers are discounted as a Student's t would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.prediction.evidence import least_surprising, squared_distances, surprise, weighted_sum
from hwtickets.prediction.features import Index, Matrix, Vector

#: Networks that represent all, and networks that the length scales are learnt from.
_REPRESENTATIVES = 700
_LEARNERS = 500
_ITERATIONS = 40
#: Degrees of freedom of the t distribution, and how often the weights are found anew.
_FREEDOM = 4.0
_ROUNDS = 2
#: Logarithms of the parameters before any data, and how far they may be off (standard deviation of a normal
#: prior).
_PRIOR_SIGNAL, _PRIOR_SLOPE, _PRIOR_NOISE, _PRIOR_WIDTH = -0.7, -1.5, -1.2, 2.5
_BOUNDS = (-9.0, 5.0)
_JITTER = 1e-6


@dataclass(frozen=True)
class Settings:
    """Parameters of the process, as logarithms.

    Attributes:
        signal: Standard deviation of what the traits bend.
        slope: Standard deviation of the slopes along the traits, for one length scale.
        noise: Standard deviation of what the traits do not explain.
        relevance: Inverse squared length scale of each trait that varies.
    """

    signal: float
    slope: float
    noise: float
    relevance: Mapping[str, float]


class _Scale:
    """Makes the traits comparable: each gets mean 0 and a total variance of 1; a constant one is left out."""

    def __init__(self, traits: Mapping[str, Matrix]) -> None:
        self._parts: dict[str, tuple[Vector, float]] = {}
        for name, values in traits.items():
            total = float(values.var(axis=0).sum())
            if total > 0:
                self._parts[name] = values.mean(axis=0), 1.0 / np.sqrt(total)

    def blocks(self, traits: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """The traits that vary, by name."""
        return {name: (traits[name] - mean) * factor for name, (mean, factor) in self._parts.items()}


@dataclass(frozen=True)
class ResidualModel:
    """A fitted process; made by `fit`.

    Attributes:
        settings: Its parameters; pass them to `fit` to skip learning them again.
    """

    settings: Settings
    _scale: _Scale
    _unit: float
    _points: Matrix
    _coefficients: Vector
    _prior_root: Matrix
    _posterior_root: Matrix

    @classmethod
    def fit(
        cls, traits: Mapping[str, Matrix], share: Vector, settings: Settings | None = None, seed: int = 0
    ) -> ResidualModel:
        """Learns the residual.

        Args:
            traits: As in `Features`; at least one.
            share: Measured over predicted latency, minus 1.
            settings: Parameters that are known already.
            seed: Which networks represent all of them.
        """
        from scipy.linalg import cho_factor, cho_solve, cholesky

        random = np.random.default_rng(seed)
        scale = _Scale(traits)
        blocks = scale.blocks(traits)
        weights = _weights(share)
        unit = float(np.sqrt(np.average(share**2, weights=weights))) or 1.0
        target = share / unit
        if settings is None:
            chosen = _choose(random, len(share), _LEARNERS)
            learners = {name: block[chosen] for name, block in blocks.items()}
            settings = _learn(learners, target[chosen], weights[chosen])
        every = _stretched(blocks, settings, len(share))
        points = every[_choose(random, len(share), _REPRESENTATIVES)]
        among, across = _kernel(points, points, settings), _kernel(points, every, settings)
        noise = np.exp(2 * settings.noise)
        for _ in range(_ROUNDS):
            normal = noise * among + (across * weights) @ across.T
            normal[np.diag_indices_from(normal)] += _JITTER * np.trace(normal) / len(normal)
            root = cho_factor(normal, lower=True)
            coefficients = cho_solve(root, across @ (weights * target))
            weights = _weights(target - across.T @ coefficients)
        among[np.diag_indices_from(among)] += _JITTER * np.trace(among) / len(among)
        prior_root = cholesky(among, lower=True)
        return cls(settings, scale, unit, points, coefficients, prior_root, np.tril(root[0]))

    def predict(self, traits: Mapping[str, Matrix]) -> tuple[Vector, Vector]:
        """Expected share for each network, and its standard deviation with the noise of one measurement."""
        from scipy.linalg import solve_triangular

        count = len(next(iter(traits.values())))
        points = _stretched(self._scale.blocks(traits), self.settings, count)
        across = _kernel(self._points, points, self.settings)
        signal, slope, noise = np.exp(
            2 * np.array([self.settings.signal, self.settings.slope, self.settings.noise])
        )
        known = (solve_triangular(self._prior_root, across, lower=True) ** 2).sum(axis=0)
        unsure = noise * (solve_triangular(self._posterior_root, across, lower=True) ** 2).sum(axis=0)
        variance = np.maximum(signal + slope * (points**2).sum(axis=1) - known, 0.0) + unsure + noise
        return self._unit * (self._coefficients @ across), self._unit * np.sqrt(variance)


def _choose(random: np.random.Generator, count: int, most: int) -> Index:
    return np.arange(count) if count <= most else np.sort(random.choice(count, most, replace=False))


def _weights(error: Vector) -> Vector:
    """Weight of each network: 1.25 where it is explained, less the further it is off."""
    spread = 1.4826 * float(np.median(np.abs(error))) or 1e-9
    return (_FREEDOM + 1) / (_FREEDOM + (error / spread) ** 2)


def _stretched(blocks: Mapping[str, Matrix], settings: Settings, count: int) -> Matrix:
    """Points between which the length scale is 1."""
    parts = [blocks[name] * np.exp(0.5 * log) for name, log in settings.relevance.items() if name in blocks]
    return np.hstack(parts) if parts else np.zeros((count, 1))


def _kernel(one: Matrix, other: Matrix, settings: Settings) -> Matrix:
    distance = np.sqrt(5 * squared_distances(one, other))
    bent = np.exp(2 * settings.signal) * (1 + distance + distance**2 / 3) * np.exp(-distance)
    return bent + np.exp(2 * settings.slope) * one @ other.T


def _learn(blocks: Mapping[str, Matrix], target: Vector, weights: Vector) -> Settings:
    """Parameters of the largest marginal likelihood."""
    relevances = [-np.log(max(len(blocks), 1))] * len(blocks)
    prior = np.array([_PRIOR_SIGNAL, _PRIOR_SLOPE, _PRIOR_NOISE, *relevances])
    likelihood = _Likelihood(list(blocks.values()), target, weights, prior)
    found = least_surprising(likelihood, prior, [_BOUNDS] * len(prior), _ITERATIONS)
    signal, slope, noise, *relevance = found.tolist()
    return Settings(signal, slope, noise, dict(zip(blocks, relevance, strict=True)))


class _Likelihood:
    """Negative logarithm of the marginal likelihood and its gradient, of the parameters' logarithms."""

    def __init__(self, blocks: Sequence[Matrix], target: Vector, weights: Vector, prior: Vector) -> None:
        self._distances = [squared_distances(block, block) for block in blocks]
        self._products = [block @ block.T for block in blocks]
        self._target, self._noise, self._prior = target, 1.0 / weights, prior

    def __call__(self, parameters: Vector) -> tuple[float, Vector]:
        signal, slope, noise = np.exp(2 * parameters[:3])
        relevance, size = np.exp(parameters[3:]), len(self._target)
        distance = np.sqrt(5 * weighted_sum(relevance, self._distances, size))
        decay = signal * np.exp(-distance)
        bent = (1 + distance + distance**2 / 3) * decay
        straight = slope * weighted_sum(relevance, self._products, size)
        covariance = bent + straight
        covariance[np.diag_indices_from(covariance)] += noise * self._noise + _JITTER
        value, excess = surprise(covariance, self._target)
        by_distance = -5 / 6 * (1 + distance) * decay * excess
        gradient = [np.vdot(excess, bent), np.vdot(excess, straight), noise * (np.diag(excess) @ self._noise)]
        for factor, apart, product in zip(relevance, self._distances, self._products, strict=True):
            gradient.append(0.5 * factor * (np.vdot(by_distance, apart) + slope * np.vdot(excess, product)))
        off = (parameters - self._prior) / _PRIOR_WIDTH
        return value + 0.5 * float(off @ off), np.array(gradient) + off / _PRIOR_WIDTH

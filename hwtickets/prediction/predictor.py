"""Latency of whole networks: a sum of prices, and a residual model where it wins on unseen networks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hwtickets.errors import UsageError
from hwtickets.prediction.additive import EXACT, REACHES, STRENGTHS, STRENGTHS_OF_MANY, WEAK, AdditiveModel
from hwtickets.prediction.features import Features, Index, Matrix, Vector
from hwtickets.prediction.folds import folds
from hwtickets.prediction.residual import ResidualModel, Settings

_FOLDS = 4
#: Networks for each term of the work from which they are many.
_PLENTY = 10
#: With fewer networks than this nothing but the sum is tried.
_FEWEST_FOR_RESIDUAL = 60
#: The residual model has to lower the mean error by this share of it.
_LEAST_GAIN = 0.01
#: Two in three networks are to be nearer than the expected error.
_INSIDE = 2 / 3
#: Expected error where there is nothing to judge by.
_UNKNOWN_ERROR = 1.0
#: The residual is kept within this, as a share: the sum is a fair guess, a correction by half is not.
_LARGEST_CORRECTION = 0.5


@dataclass(frozen=True)
class Judged:
    """Mean relative errors on networks that were kept apart, as shares.

    Attributes:
        additive: Of the sum.
        residual: Of the sum with the residual model; None where it was not tried.
    """

    additive: float
    residual: float | None


@dataclass(frozen=True)
class WholeNetworkPredictor:
    """Predicts latencies on one device; made by `fit`.

    Attributes:
        additive: The sum.
        residual: What corrects it; None where the sum alone was as good on networks that it had not seen.
        judged: The errors by which that was decided; None with a single group of networks.
    """

    additive: AdditiveModel
    residual: ResidualModel | None
    judged: Judged | None
    _error_unit: float

    @classmethod
    def fit(
        cls, features: Features, latency_ms: Vector, groups: Sequence[Hashable] | None = None, seed: int = 0
    ) -> WholeNetworkPredictor:
        """Fits the sum, tries the residual model and keeps it if it wins by cross-validation.

        Args:
            features: Of the networks that were measured.
            latency_ms: Their latencies, positive.
            groups: Networks of one group are the same to the device; none is predicted from another of its
                own.
            seed: Of everything random.

        Raises:
            UsageError: There are no networks, or a latency is not positive and finite.
        """
        latency_ms = np.asarray(latency_ms, float)
        if len(features) == 0 or latency_ms.shape != (len(features),):
            raise UsageError(f"{len(features)} networks and {latency_ms.size} latencies; one each is needed")
        if not (np.isfinite(latency_ms) & (latency_ms > 0)).all():
            raise UsageError("a latency is not a positive number of milliseconds")
        groups = list(range(len(features))) if groups is None else groups
        parts = list(folds(groups, _FOLDS, seed))
        choice, sums = _chosen_sums(features.work, latency_ms, parts)
        additive = AdditiveModel.fit(features.work, latency_ms, *choice)
        residual = _fit_residual(additive, features, latency_ms, None, seed)
        settings = residual.settings if residual else None
        plain, corrected = _Errors(), _Errors()
        for held, part in zip(parts, sums, strict=True):
            known, known_ms, unknown = features.rows(~held), latency_ms[~held], features.rows(held)
            plain.add(latency_ms[held], *_predict(part, None, unknown))
            if residual is not None:
                correction = _fit_residual(part, known, known_ms, settings, seed)
                corrected.add(latency_ms[held], *_predict(part, correction, unknown))
        wins = corrected.better_than(plain)
        kept = corrected if wins else plain
        judged = Judged(plain.mean, corrected.mean if residual else None) if plain.count else None
        return cls(additive, residual if wins else None, judged, kept.unit)

    def predict(self, features: Features) -> tuple[Vector, Vector]:
        """Latencies and how far to trust them.

        Returns:
            Latency of each network in ms, and its expected error as a share: two in three are nearer.
        """
        latency_ms, spread = _predict(self.additive, self.residual, features)
        return latency_ms, self._error_unit * spread


class _Errors:
    """Relative errors on networks that were kept apart, and how they were expected to compare."""

    def __init__(self) -> None:
        self._errors: list[Vector] = []
        self._spreads: list[Vector] = []

    def add(self, measured_ms: Vector, predicted_ms: Vector, spread: Vector) -> None:
        self._errors.append(np.abs(predicted_ms / measured_ms - 1))
        self._spreads.append(spread)

    @property
    def count(self) -> int:
        return sum(map(len, self._errors))

    @property
    def mean(self) -> float:
        return float(np.concatenate(self._errors).mean())

    @property
    def unit(self) -> float:
        """What the spreads are to be multiplied by, so that two in three errors are smaller."""
        if not self.count:
            return _UNKNOWN_ERROR
        return float(np.quantile(np.concatenate(self._errors) / np.concatenate(self._spreads), _INSIDE))

    def better_than(self, other: _Errors) -> bool:
        """Whether the errors are smaller, beyond the standard error of the difference, and worth a model."""
        if self.count < 2:
            return False
        gain = np.concatenate(other._errors) - np.concatenate(self._errors)
        least = max(float(gain.std(ddof=1)) / np.sqrt(len(gain)), _LEAST_GAIN * other.mean)
        return float(gain.mean()) > least


def _chosen_sums(
    work: Matrix, latency_ms: Vector, parts: Sequence[Index]
) -> tuple[tuple[float, float], list[AdditiveModel]]:
    """The strength of the penalty on prices, and what counts as a small error, by cross-validation.

    What only a network or two say is hardly ever judged by it: the first choice stays unless another one is
    clearly better on networks that were kept apart.

    Returns:
        Strength and reach, and for each part the sum of the networks outside it.
    """
    if not parts:
        return (WEAK, EXACT), []
    strengths = STRENGTHS_OF_MANY if len(work) >= _PLENTY * work.shape[1] else STRENGTHS
    sums = {
        choice: [AdditiveModel.fit(work[~held], latency_ms[~held], *choice) for held in parts]
        for choice in product(strengths, REACHES)
    }
    judged = {choice: _Errors() for choice in sums}
    for choice, errors in judged.items():
        for held, part in zip(parts, sums[choice], strict=True):
            errors.add(latency_ms[held], part.predict(work[held]), np.ones(1))
    least = min(judged.values(), key=lambda errors: errors.mean)
    best = next(choice for choice, errors in judged.items() if not least.better_than(errors))
    return best, sums[best]


def _fit_residual(
    additive: AdditiveModel, features: Features, latency_ms: Vector, settings: Settings | None, seed: int
) -> ResidualModel | None:
    if len(features) < _FEWEST_FOR_RESIDUAL or not features.traits:
        return None
    share = latency_ms / additive.predict(features.work) - 1
    return ResidualModel.fit(features.traits, share, settings, seed)


def _predict(
    additive: AdditiveModel, residual: ResidualModel | None, features: Features
) -> tuple[Vector, Vector]:
    """Latencies in ms, and how large their errors are in comparison with each other."""
    latency_ms = additive.predict(features.work)
    spread = np.sqrt(1 + additive.leverage(features.work))
    if residual is None:
        return latency_ms, spread
    share, deviation = residual.predict(features.traits)
    return latency_ms * (1 + np.clip(share, -_LARGEST_CORRECTION, _LARGEST_CORRECTION)), spread * deviation

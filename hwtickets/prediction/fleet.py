"""Many devices, the same networks: what one device is missing, the others tell.

The logarithms of a run's latencies (one device, one way of running) are one draw from a multivariate
Student's t over the networks, for each kind of run its own. Its covariance says which networks are slow
together, and by how much; so some measured networks of a device give the others. Mean and covariance are
found by expectation maximisation over incomplete rows (Liu and Rubin 1995), from a prior by which alike
networks behave alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.errors import UsageError, unknown
from hwtickets.prediction.features import Index, Matrix, Vector
from hwtickets.prediction.folds import held_out

_FREEDOM = 4.0
_ROUNDS = 60
#: The prior covariance counts as much as this many runs; its parts: all networks together, those with alike
#: traits, each on its own (variances of the logarithm).
_PRIOR_RUNS = 30.0
_LEVEL, _ALIKE, _ALONE = 1.0, 0.1, 0.02
#: Of what is known, this share is kept apart to see how large errors are; two in three are to be nearer than
#: said.
_JUDGED_SHARE, _INSIDE = 0.25, 2 / 3
_RIDGE = 1.0


@dataclass(frozen=True)
class Population:
    """Logarithms of the latencies over all runs of a kind.

    Attributes:
        mean: By network.
        covariance: Of the networks.
    """

    mean: Vector
    covariance: Matrix

    def complete(self, row: Vector) -> tuple[Vector, Matrix, float]:
        """A row with its gaps filled, the covariance of what was filled in, and how typical the row is."""
        known = np.isfinite(row)
        across = self.covariance[:, known]
        inverse = np.linalg.inv(across[known])
        off = row[known] - self.mean[known]
        filled = np.where(known, row, self.mean + across @ inverse @ off)
        unsure = self.covariance - across @ inverse @ across.T
        unsure[known] = unsure[:, known] = 0.0
        return filled, unsure, (_FREEDOM + known.sum()) / (_FREEDOM + float(off @ inverse @ off))


@dataclass(frozen=True)
class Fleet:
    """Runs and networks; made by `fit`.

    Attributes:
        populations: By kind of run.
    """

    populations: Mapping[str, Population]
    _error_units: Mapping[str, float]

    @classmethod
    def fit(
        cls,
        latency_ms: Matrix,
        kinds: Sequence[str],
        traits: Matrix,
        devices: Sequence[Hashable] | None = None,
        families: Sequence[Hashable] | None = None,
        seed: int = 0,
    ) -> Fleet:
        """Learns how networks go together.

        Args:
            latency_ms: (runs, networks), NaN where it was not measured.
            kinds: Kind of each run, e.g. "cpu" and "gpu".
            traits: Of each network, (networks, dimensions), scaled so that 1 is a marked difference.
            devices: Device of each run, and
            families: family of each network: a whole family on a whole device is kept apart to judge the
                errors.
            seed: Of what is kept apart.

        Raises:
            UsageError: Shapes differ, a latency is not positive, or nothing was measured.
        """
        known = np.isfinite(latency_ms)
        if latency_ms.shape != (len(kinds), len(traits)) or not known.any() or (latency_ms[known] <= 0).any():
            raise UsageError(
                "a fleet needs one row of positive latencies for each run, with one column a network"
            )
        owners = list(range(len(kinds))) if devices is None else devices
        sorts = list(range(len(traits))) if families is None else families
        pairs = [(owner, sort) for owner in owners for sort in sorts]
        apart = known & held_out(pairs, _JUDGED_SHARE, seed).reshape(known.shape)
        shown = np.where(apart, np.nan, latency_ms)
        judge = cls(_populations(np.log(shown), kinds, traits), dict.fromkeys(kinds, 1.0))
        filled, spread = judge.predict(shown, kinds)
        units = {kind: _unit(filled, latency_ms, spread, apart & _of(kind, kinds)) for kind in set(kinds)}
        return cls(_populations(np.log(latency_ms), kinds, traits), units)

    def predict(self, latency_ms: Matrix, kinds: Sequence[str]) -> tuple[Matrix, Matrix]:
        """Fills in what was not measured.

        Args:
            latency_ms: (runs, networks), NaN where it is asked for; the runs need not be those of the fit.
            kinds: Kind of each run.

        Returns:
            Latencies in ms, measured ones as they are, and expected errors as shares: two in three are
            nearer.

        Raises:
            UsageError: A kind of run was not in the fit.
        """
        filled, spread = np.empty_like(latency_ms), np.empty_like(latency_ms)
        for index, (row, kind) in enumerate(zip(latency_ms, kinds, strict=True)):
            if kind not in self.populations:
                raise unknown("kind of run", kind, self.populations)
            filled[index], unsure, _ = self.populations[kind].complete(np.log(row))
            spread[index] = self._error_units[kind] * np.sqrt(np.maximum(np.diag(unsure), 0.0))
        return np.exp(filled), spread


def _of(kind: str, kinds: Sequence[str]) -> Index:
    """Which rows are runs of a kind, (runs, 1)."""
    return np.array([[entry == kind] for entry in kinds])


def _unit(filled_ms: Matrix, latency_ms: Matrix, spread: Matrix, apart: Index) -> float:
    """What the spreads are to be multiplied by, so that two in three errors are smaller."""
    errors = np.abs(filled_ms[apart] / latency_ms[apart] - 1) / spread[apart]
    return float(np.quantile(errors, _INSIDE)) if errors.size else 1.0


def _populations(rows: Matrix, kinds: Sequence[str], traits: Matrix) -> dict[str, Population]:
    squared = ((traits[:, None] - traits[None]) ** 2).sum(axis=-1)
    prior = _LEVEL + _ALIKE * np.exp(-0.5 * squared) + _ALONE * np.eye(len(traits))
    return {kind: _population(rows[_of(kind, kinds)[:, 0]], prior, traits) for kind in sorted(set(kinds))}


def _population(rows: Matrix, prior: Matrix, traits: Matrix) -> Population:
    """Mean and covariance of incomplete rows; those far from the others count less."""
    found = Population(_first_mean(rows, traits), prior)
    for _ in range(_ROUNDS):
        completed = [found.complete(row) for row in rows if np.isfinite(row).any()]
        if not completed:
            return found
        filled = np.array([row for row, _, _ in completed])
        weights = np.array([weight for _, _, weight in completed])
        mean = weights @ filled / weights.sum()
        off = filled - mean
        scatter = (off * weights[:, None]).T @ off + sum(unsure for _, unsure, _ in completed)
        found = Population(mean, (scatter + _PRIOR_RUNS * prior) / (len(completed) + _PRIOR_RUNS))
    return found


def _first_mean(rows: Matrix, traits: Matrix) -> Vector:
    """Median of each network; from the traits of the others where it was never measured."""
    seen = np.isfinite(rows).any(axis=0)
    if not seen.any():
        return np.zeros(len(traits))
    median = np.nanmedian(rows[:, seen], axis=0)
    terms = np.hstack([np.ones((len(traits), 1)), traits])
    penalty = _RIDGE * np.diag([1e-6, *[1.0] * traits.shape[1]])
    slopes = np.linalg.solve(terms[seen].T @ terms[seen] + penalty, terms[seen].T @ median)
    mean: Vector = terms @ slopes
    mean[seen] = median
    return mean

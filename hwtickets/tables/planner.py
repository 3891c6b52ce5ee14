"""Which networks are measured next: those after which predictions are best; and when there are enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.observations import Measured, Observations, Profiled, Vector, count_operators
from hwtickets.tables.regression import Regression

#: Batches whose errors are looked at together.
_WINDOW = 3
#: Median error that is good enough; nine in ten networks may be three times as far off. A device that is
#: noisier than this cannot be asked for more than its own noise.
_TARGET_ERROR = 0.01
_TAIL = 3.0
#: Median of the absolute value of a normal number, in standard deviations.
_MEDIAN_DEVIATION = 0.6745
#: Batches that bring the error below this share of what it was are worth their time.
_PROGRESS = 0.9


@dataclass(frozen=True)
class Batch:
    """Networks to be measured together.

    Attributes:
        networks: Their places in the pool.
        predicted_ms: What they were expected to take before they were measured; empty in the first batch.
        verdict: Why no more networks are needed; there are none in this batch then.
    """

    networks: list[int]
    predicted_ms: list[float]
    verdict: str = ""


class Planner:
    """Plans batch after batch; equal measurements lead to equal plans.

    Args:
        pool: Networks that may be measured, the first `first` of them in any case.
        sample: Random networks of the space, whose predictions are to be good.
        profiles: Profile times of some of the operators.
        first: Networks of the first batch.
        most: Networks that are measured at most.
        batch: Networks of every further batch.
    """

    def __init__(
        self,
        pool: Sequence[OperatorGraph],
        sample: Sequence[OperatorGraph],
        profiles: Mapping[OperatorSpec, Profiled],
        first: int,
        most: int,
        batch: int,
    ) -> None:
        self._pool, self._profiles = pool, profiles
        self._first, self._most, self._batch = first, most, batch
        graphs = [*pool, *sample]
        self._specs = list(dict.fromkeys(operator.spec for graph in graphs for operator in graph))
        self._counts = count_operators(graphs, self._specs)

    def first(self) -> Batch:
        """The first batch."""
        return Batch(list(range(self._first)), [])

    def next(self, batches: Sequence[Batch], latency_ms: Vector) -> Batch:
        """The batch after others.

        Args:
            batches: Those that were measured, at least one, in order.
            latency_ms: What their networks took, in the same order.
        """
        measured = [place for batch in batches for place in batch.networks]
        networks = [Measured(self._pool[place], ms) for place, ms in zip(measured, latency_ms, strict=True)]
        regression = Regression(Observations(networks, self._profiles, self._specs), self._specs)
        enough = verdict(batches, latency_ms, regression.noise, self._most)
        if enough:
            return Batch([], [], enough)
        left = sorted(set(range(len(self._pool))) - set(measured))
        chosen = self._most_telling(regression, left, min(self._batch, self._most - len(measured)))
        return Batch(chosen, regression.predict(self._counts[chosen]).tolist())

    def _most_telling(self, regression: Regression, places: list[int], count: int) -> list[int]:
        """The networks after which the variance of predictions is smallest, on average over the sample.

        Greedy: a network's latency is known to the noise once it is measured, and takes along what others
        have in common with it.
        """
        sample = list(range(len(self._pool), len(self._counts)))
        covariance = regression.doubt(self._counts[places + sample])
        chosen: list[int] = []
        for _ in range(min(count, len(places))):
            variance = np.diag(covariance) + regression.noise**2
            gain = (covariance[len(places) :] ** 2).sum(axis=0) / variance
            gain[chosen] = -1.0
            best = int(gain[: len(places)].argmax())
            covariance = covariance - np.outer(covariance[best], covariance[best]) / variance[best]
            chosen.append(best)
        return [places[best] for best in chosen]


def verdict(batches: Sequence[Batch], latency_ms: Vector, noise: float, most: int) -> str | None:
    """Why no more networks are needed, or None.

    Every batch was predicted before it was measured: its errors are those of a table that has not seen it.

    Args:
        batches: Those that were measured, in order.
        latency_ms: What their networks took, in the same order.
        noise: Relative standard deviation of networks around the sum of their operators.
        most: Networks that are measured at most.
    """
    errors = batch_errors(batches, latency_ms)
    if len(errors) >= _WINDOW:
        recent = np.concatenate(errors[-_WINDOW:])
        target = max(_TARGET_ERROR, _MEDIAN_DEVIATION * noise)
        if np.median(recent) <= target and np.percentile(recent, 90) <= _TAIL * target:
            return "accurate"
    if len(errors) >= 2 * _WINDOW:
        earlier = np.concatenate(errors[-2 * _WINDOW : -_WINDOW])
        if np.median(recent) > _PROGRESS * np.median(earlier):
            return "no longer improving"
    return "most networks" if len(latency_ms) >= most else None


def batch_errors(batches: Sequence[Batch], latency_ms: Vector) -> list[Vector]:
    """Relative errors of the predictions of every batch but the first."""
    ends = np.cumsum([len(batch.networks) for batch in batches])
    measured = np.split(latency_ms, ends[:-1])
    return [
        np.abs(np.array(batch.predicted_ms) / batch_ms - 1)
        for batch, batch_ms in zip(batches, measured, strict=True)
        if batch.predicted_ms
    ]

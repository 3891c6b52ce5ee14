"""Fitting a roofline to operators, blocks or whole networks: anything that is a sum of operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.roofline import Roof, Roofline, padded_work, roof_group

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_SHARPNESS = (1.0, 4.0)
#: Logarithms of latencies that differ by less than this count squared, larger ones by their size only.
_NOISE = 0.1
#: A group's constants lie about this far, in logarithms, from what the groups have in common. Larger and
#: smaller spreads predicted unseen networks worse (mean of the boards' median errors: 14.8 % at 0.2, 14.0 %
#: at 0.3, 14.8 % at 0.4).
_SPREAD = 0.3
#: The common constants lie this far from a rough guess; only keeps them finite where nothing determines them.
_GUESS_SPREAD = 3.0
#: The fixed cost of a network lies this far from a twentieth of the fastest one.
_OFFSET_SPREAD = 1.0
#: More samples say nothing new about a handful of constants.
_MOST_SAMPLES = 3000


@dataclass(frozen=True)
class Sample:
    """Something timed.

    Attributes:
        specs: The operators that ran; blocks are taken apart.
        latency_ms: What they took together.
    """

    specs: Sequence[OperatorSpec]
    latency_ms: float


@dataclass(frozen=True)
class RooflineFit:
    """A roofline and the fixed cost of a sample."""

    roofline: Roofline
    offset_ms: float


def fit_roofline(
    samples: Sequence[Sample], alignment: int, batch: int = 1, offset: bool = False
) -> RooflineFit:
    """The roofline nearest to what was timed, in robust squares of logarithms.

    Args:
        samples: Rows of a table, or whole networks.
        alignment: Channels that the runtime computes at once.
        batch: Images at once.
        offset: Whether a sample has a fixed cost besides its operators, as networks have.

    Raises:
        HwticketsError: There is nothing with a positive latency.
    """
    samples = [sample for sample in samples if sample.latency_ms > 0]
    if not samples:
        raise HwticketsError("a roofline needs at least one operator with a latency; the table holds none")
    if len(samples) > _MOST_SAMPLES:
        chosen = np.random.default_rng(0).choice(len(samples), _MOST_SAMPLES, replace=False)
        samples = [samples[index] for index in np.sort(chosen)]
    problem = _Problem(samples, alignment, batch, offset)
    solutions = [problem.solve(sharpness) for sharpness in _SHARPNESS]
    _, sharpness, base, constants = min(solutions, key=lambda solution: solution[0])
    values = np.exp(constants)
    roofs = {
        name: Roof(*values[1 + 3 * index : 4 + 3 * index].tolist())
        for index, name in enumerate(problem.groups)
    }
    errors = np.abs(problem.predict(constants, sharpness) / problem.latency_ms - 1)
    roofline = Roofline(
        base=Roof(*np.exp(base[1:]).tolist()),
        roofs=roofs,
        sharpness=sharpness,
        alignment=alignment,
        batch=batch,
        error_share=float(np.quantile(errors, 2 / 3)),
        unseen_error_share=max(1.0, float(np.quantile(errors, 2 / 3))),
        most_gmac=float(problem.work[:, 0].max()),
        most_mb=float(problem.work[:, 1].max()),
    )
    return RooflineFit(roofline, float(values[0]) if offset else 0.0)


class _Problem:
    """Samples as arrays; constants are logarithms: the offset, then launch, compute and traffic by group."""

    def __init__(self, samples: Sequence[Sample], alignment: int, batch: int, offset: bool) -> None:
        parts = [
            (index, part)
            for index, sample in enumerate(samples)
            for spec in sample.specs
            for part in spec.parts
        ]
        names = [roof_group(part) for _, part in parts]
        self.groups = list(dict.fromkeys(names))
        place = {name: position for position, name in enumerate(self.groups)}
        self.owner = np.array([index for index, _ in parts])
        self.group = np.array([place[name] for name in names])
        self.work = np.array([padded_work(part, alignment, batch) for _, part in parts])
        self.latency_ms = np.array([sample.latency_ms for sample in samples])
        self.offset = float(offset)

    def solve(self, sharpness: float) -> tuple[float, float, Vector, Vector]:
        """Cost, sharpness, common constants, constants."""
        from scipy.optimize import least_squares

        guess = self._guess()
        guess_scale = np.array([_OFFSET_SPREAD, _GUESS_SPREAD, _GUESS_SPREAD, _GUESS_SPREAD])
        tie = np.zeros((1 + 3 * len(self.groups), 4))
        tie[0, 0] = 1.0
        tie[1:, 1:] = np.tile(np.eye(3), (len(self.groups), 1))

        def common(base: Vector) -> Vector:
            return np.concatenate([self._misses(tie @ base, sharpness), (base - guess) / guess_scale])

        def common_slope(base: Vector) -> Matrix:
            return np.vstack([self._slopes(tie @ base, sharpness) @ tie, np.diag(1 / guess_scale)])

        base = least_squares(common, guess, jac=common_slope, loss="soft_l1", max_nfev=200).x
        centre = tie @ base
        scale = np.full(len(centre), _SPREAD)
        scale[0] = _OFFSET_SPREAD

        def each(constants: Vector) -> Vector:
            return np.concatenate([self._misses(constants, sharpness), (constants - centre) / scale])

        def each_slope(constants: Vector) -> Matrix:
            return np.vstack([self._slopes(constants, sharpness), np.diag(1 / scale)])

        found = least_squares(each, centre, jac=each_slope, loss="soft_l1", max_nfev=200)
        return float(found.cost), sharpness, base, found.x

    def predict(self, constants: Vector, sharpness: float) -> Vector:
        """Latencies of the samples, in ms."""
        values = np.exp(constants)
        launch, compute, traffic = self._terms(values)
        ms = launch + (compute**sharpness + traffic**sharpness) ** (1 / sharpness)
        return self.offset * values[0] + np.bincount(self.owner, ms, len(self.latency_ms))

    def _guess(self) -> Vector:
        """Half of the time computing, a fifth moving data, the rest launching."""
        count = np.bincount(self.owner, minlength=len(self.latency_ms))
        work = np.stack([np.bincount(self.owner, part, len(count)) for part in self.work.T], axis=1)
        shares = self.latency_ms[:, None] / np.maximum(np.column_stack([count, work]), 1e-9)
        return np.log([self.latency_ms.min() / 20, *np.quantile(shares, 0.25, axis=0) * [0.2, 0.5, 0.2]])

    def _terms(self, values: Vector) -> tuple[Vector, Vector, Vector]:
        roofs = values[1:].reshape(-1, 3)[self.group]
        return roofs[:, 0], roofs[:, 1] * self.work[:, 0], roofs[:, 2] * self.work[:, 1]

    def _misses(self, constants: Vector, sharpness: float) -> Vector:
        return np.log(self.predict(constants, sharpness) / self.latency_ms) / _NOISE

    def _slopes(self, constants: Vector, sharpness: float) -> Matrix:
        values = np.exp(constants)
        launch, compute, traffic = self._terms(values)
        both = np.maximum(compute**sharpness + traffic**sharpness, 1e-300) ** (1 / sharpness - 1)
        slopes = np.zeros((len(self.latency_ms), len(constants)))
        slopes[:, 0] = self.offset * values[0]
        for term, change in enumerate((launch, both * compute**sharpness, both * traffic**sharpness)):
            np.add.at(slopes, (self.owner, 1 + 3 * self.group + term), change)
        return slopes / self.predict(constants, sharpness)[:, None] / _NOISE

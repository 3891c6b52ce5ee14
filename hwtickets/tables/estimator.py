"""From rows to operators without a row: a roofline, and what the nearest rows say about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.features import Features
from hwtickets.tables.residual import Residual
from hwtickets.tables.roofline import Roofline, roof_group
from hwtickets.tables.roofline_fit import Sample, fit_roofline

Vector = NDArray[np.float64]

#: Fewer rows than this cannot say what the roofline misses.
FEWEST_ROWS = 24
#: Rows that the correction is learnt from; time grows with the cube.
_MOST_ROWS = 2000
#: Expected errors where nothing can be held out, and at least: of the formula, corrected by rows, and of the
#: formula in a group that no row is of. Held-out rows lie among others; what is asked may lie beyond them.
_UNKNOWN_ERROR, _LEAST_ERROR, _LEAST_LEARNT_ERROR, _LEAST_UNSEEN_ERROR = 1.0, 0.1, 0.05, 0.5


@dataclass(frozen=True)
class Estimator:
    """Prices of operators that have no row.

    Attributes:
        formula: The roofline; its error where no row is alike is infinite, which stands for not known yet.
        samples: What it was fitted to.
        features: What the correction depends on.
        residual: The correction of the formula's logarithm; None where it did not win on held-out rows.
    """

    formula: Roofline
    samples: Sequence[Sample]
    features: Features
    residual: Residual | None

    @classmethod
    def fit(
        cls,
        latencies_ms: Mapping[OperatorSpec, float],
        alignment: int,
        batch: int = 1,
        units: int = 0,
        most_rows: int = _MOST_ROWS,
    ) -> Estimator:
        """Learns from rows.

        Args:
            latencies_ms: By operator.
            alignment: Channels that the runtime computes at once.
            batch: Images at once.
            units: Multiprocessors of a GPU; 0 where that is not known.
            most_rows: The correction is learnt from this many rows, drawn at random.

        Raises:
            HwticketsError: No row has a latency.
        """
        samples = [Sample([spec], ms) for spec, ms in latencies_ms.items() if ms > 0]
        found = fit_roofline(samples, alignment, batch).roofline
        formula = replace(found, error_share=_held_out_error(samples, found), unseen_error_share=math.inf)
        chosen = samples
        if len(samples) > most_rows:
            places = np.random.default_rng(0).permutation(len(samples))[:most_rows]
            chosen = [samples[place] for place in places]
        specs = [sample.specs[0] for sample in chosen]
        features = Features.of(specs, batch, units)
        if len(specs) < FEWEST_ROWS:
            return cls(formula, samples, features, None)
        missed = np.log([sample.latency_ms for sample in chosen]) - np.log(formula.price(specs)[0])
        residual = Residual.fit(features.matrix(specs), features.groups, missed)
        wins = np.median(np.abs(residual.held_out)) < np.median(np.abs(missed))
        return cls(formula, samples, features, residual if wins else None)

    @cached_property
    def roofline(self) -> Roofline:
        """The formula, its error where no row is alike included: that takes a fit for each of its groups."""
        return replace(self.formula, unseen_error_share=_unseen_error(self.samples, self.formula))

    @property
    def learnt(self) -> bool:
        """Whether the rows know better than the formula."""
        return self.residual is not None

    def price(self, specs: Sequence[OperatorSpec]) -> tuple[Vector, Vector]:
        """Latencies in ms and their expected errors as shares, (n,) each: two in three are nearer."""
        ms, error_share = self.formula.price(specs)
        if not np.isfinite(error_share).all():
            ms, error_share = self.roofline.price(specs)
        if self.residual is None or not specs:
            return ms, error_share
        correction, doubt = self.residual.predict(self.features.matrix(specs))
        unseen = np.where(error_share > self.formula.error_share * 1.001, error_share, 0.0)
        doubt_share = np.maximum(np.expm1(doubt), _LEAST_LEARNT_ERROR)
        return ms * np.exp(correction), np.maximum(doubt_share, unseen)


def _held_out_error(samples: Sequence[Sample], roofline: Roofline) -> float:
    """What the formula misses: of few rows each by a fit to the others, of many as it is."""
    if len(samples) == 1:
        return _UNKNOWN_ERROR
    if len(samples) >= FEWEST_ROWS:
        return max(_LEAST_ERROR, roofline.error_share)
    errors = [
        _error([*samples[:index], *samples[index + 1 :]], [sample], roofline)
        for index, sample in enumerate(samples)
    ]
    return max(_LEAST_ERROR, float(np.quantile(np.concatenate(errors), 2 / 3)))


def _unseen_error(samples: Sequence[Sample], roofline: Roofline) -> float:
    """What the formula misses in groups that it has not seen: each group by a fit to the others."""
    errors = [np.array([_UNKNOWN_ERROR])] if len(roofline.roofs) < 2 else []
    for name in roofline.roofs:
        inside = [any(roof_group(part) == name for part in sample.specs[0].parts) for sample in samples]
        others = [sample for sample, within in zip(samples, inside, strict=True) if not within]
        if others:
            held_out = [sample for sample, within in zip(samples, inside, strict=True) if within]
            errors.append(_error(others, held_out, roofline))
    found = np.concatenate(errors) if errors else np.array([_UNKNOWN_ERROR])
    return max(_LEAST_UNSEEN_ERROR, float(np.quantile(found, 2 / 3)))


def _error(fitted: Sequence[Sample], held_out: Sequence[Sample], roofline: Roofline) -> Vector:
    """Errors on held-out samples, as shares, of a formula that has not seen them."""
    found = fit_roofline(fitted, roofline.alignment, roofline.batch).roofline
    predicted = found.price([sample.specs[0] for sample in held_out])[0]
    return np.abs(predicted / np.array([sample.latency_ms for sample in held_out]) - 1)

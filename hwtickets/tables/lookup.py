"""Answers of a table: a row, a line between rows, or an estimate, whichever knows best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.estimator import FEWEST_ROWS, Estimator
from hwtickets.tables.lines import Between, Lines
from hwtickets.tables.roofline import Roofline
from hwtickets.tables.surroundings import Surroundings

if TYPE_CHECKING:
    from hwtickets.tables.table import Row

Kind = Literal["measured", "interpolated", "estimated"]
Vector = NDArray[np.float64]

#: Expected error, as a share, for a width that is no multiple of the alignment. Measured: ONNX Runtime pads
#: the channels of dense convolutions, but runs depthwise ones many times slower instead.
_UNALIGNED_ERROR = 1.0
#: Of a row whose source does not say.
_UNSTATED_SPREAD = 0.05
#: A line that is expected to be this good is taken as it is.
_GOOD_LINE = 0.1


@dataclass(frozen=True)
class Answer:
    """Latency of one operator, uncalibrated.

    Attributes:
        ms: Milliseconds.
        kind: How it is known.
        error_share: Expected error as a share of `ms`: two in three are nearer.
    """

    ms: float
    kind: Kind
    error_share: float


class Lookup:
    """Finds the latency of operators, with and without a row; remembers its answers.

    Args:
        rows: What was measured.
        alignment: Channels that the runtime computes at once.
        batch: Images at once.
        units: Multiprocessors of a GPU; 0 where that is not known.
        roofline: Prices operators where there are no rows.
    """

    def __init__(
        self,
        rows: Mapping[OperatorSpec, Row],
        alignment: int,
        batch: int = 1,
        units: int = 0,
        roofline: Roofline | None = None,
    ) -> None:
        self._rows, self._roofline = rows, roofline
        self._alignment, self._batch, self._units = alignment, batch, units
        self._latencies_ms = {spec: row.latency_ms for spec, row in rows.items()}
        self._answers: dict[OperatorSpec, Answer] = {}

    def answers(self, specs: Sequence[OperatorSpec]) -> list[Answer]:
        """The answer for each operator, in order; see `LatencyTable.lookup_many`.

        Raises:
            HwticketsError: There are neither rows nor a roofline.
        """
        unknown: dict[OperatorSpec, Between | None] = {}
        for spec in specs:
            if spec in self._answers or spec in unknown:
                continue
            alike = self._with_known_activation(spec)
            row = self._rows.get(alike)
            between = None if row is not None else self._lines.between(alike)
            if row is not None:
                self._answers[spec] = _measured(row, exactly=alike is spec)
            elif between is not None and between.padded:
                self._answers[spec] = Answer(between.ms, "estimated", _UNALIGNED_ERROR)
            elif between is not None and (between.error_share <= _GOOD_LINE or not self._learns):
                self._answers[spec] = Answer(between.ms, "interpolated", between.error_share)
            else:
                unknown[spec] = between
        if unknown:
            alike_specs = [self._with_known_activation(spec) for spec in unknown]
            priced = zip(*self._price(alike_specs), strict=True)
            for (spec, between), (ms, error_share) in zip(unknown.items(), priced, strict=True):
                among = between is None and self._learns and self._surroundings.hold(spec)
                self._answers[spec] = _unmeasured(between, float(ms), float(error_share), among)
        return [self._answers[spec] for spec in specs]

    def _price(self, specs: list[OperatorSpec]) -> tuple[Vector, Vector]:
        if self._rows:
            return self._estimator.price(specs)
        if self._roofline is None:
            raise HwticketsError(
                "the latency table is empty; build one for this supernet: hwtickets table build"
            )
        return self._roofline.price(specs)

    def _with_known_activation(self, spec: OperatorSpec) -> OperatorSpec:
        known = self._activations.get(spec.kind) if spec.kind != "activation" else None
        return replace(spec, activation=known[0]) if known and spec.activation not in known else spec

    @cached_property
    def _activations(self) -> dict[str, list[str]]:
        """Of every kind of operator the activations that rows have, the most frequent first."""
        found: dict[str, Counter[str]] = {}
        for spec in self._rows:
            found.setdefault(spec.kind, Counter())[spec.activation] += 1
        return {kind: [name for name, _ in counts.most_common()] for kind, counts in found.items()}

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self._latencies_ms, self._alignment)

    @cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(self._rows)

    @cached_property
    def _learns(self) -> bool:
        """Whether the rows together know better than lines between two of them."""
        return len(self._rows) >= FEWEST_ROWS and self._estimator.learnt

    @cached_property
    def _estimator(self) -> Estimator:
        return Estimator.fit(self._latencies_ms, self._alignment, self._batch, self._units)


def _measured(row: Row, exactly: bool) -> Answer:
    spread = row.spread_ms / row.latency_ms if row.latency_ms else 0.0
    if not exactly:
        return Answer(row.latency_ms, "interpolated", max(spread, _UNSTATED_SPREAD))
    return Answer(row.latency_ms, "measured", spread or _UNSTATED_SPREAD)


def _unmeasured(between: Between | None, ms: float, error_share: float, among: bool) -> Answer:
    """The better of a line between two rows and an estimate; between rows never outside them.

    Args:
        between: The line, where there is one.
        ms: The estimate.
        error_share: Of the estimate.
        among: Whether rows of its shape lie on all sides and the estimate is learnt from them.
    """
    if between is None:
        return Answer(ms, "interpolated" if among else "estimated", error_share)
    if between.error_share <= error_share:
        return Answer(between.ms, "interpolated", between.error_share)
    return Answer(min(max(ms, between.low_ms), between.high_ms), "interpolated", error_share)

"""The latency table: operator latencies, a calibration on whole networks, and how far to trust it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.families import Family, formula_terms, group, members, places

Kind = Literal["measured", "interpolated", "estimated"]

#: Expected errors, as shares: at least this between two rows, and this for a width that is no multiple of the
#: alignment. Measured: ONNX Runtime pads the channels of dense convolutions, but runs depthwise ones many
#: times slower instead.
_INTERPOLATION_ERROR = 0.05
_UNALIGNED_ERROR = 1.0
#: A quiet machine is this much faster or slower from one process to the next (measured: median ratio 0.98 to
#: 1.02); next to busy neighbours it is up to 0.17, which only a measurement at the time can correct.
_DRIFT = 0.02


@dataclass(frozen=True)
class Row:
    """One operator.

    Attributes:
        latency_ms: Its share of a network's latency.
        spread_ms: Standard error of that.
        runs: Timed runs of the networks that it was found in.
        networks: How many networks those were.
    """

    latency_ms: float
    spread_ms: float
    runs: int
    networks: int


@dataclass(frozen=True)
class Calibration:
    """How a network's latency follows from its operators', fitted on whole networks.

    Attributes:
        offset_ms: Of a network without operators.
        scale: Of the sum of the operators.
        per_operator_ms: For each operator, whatever it is.
    """

    offset_ms: float = 0.0
    scale: float = 1.0
    per_operator_ms: float = 0.0


@dataclass(frozen=True)
class Answer:
    """Latency of one operator, uncalibrated.

    Attributes:
        ms: Milliseconds.
        kind: How it is known.
        error_share: Expected error as a share of `ms`.
    """

    ms: float
    kind: Kind
    error_share: float


@dataclass(frozen=True)
class Prediction:
    """Latency of one network.

    Attributes:
        ms: Milliseconds.
        error_ms: Nine in ten networks are nearer than this, where the operators are measured and the machine
            quiet.
        kinds: How many operators are known in which way.
    """

    ms: float
    error_ms: float
    kinds: dict[str, int]


@dataclass(frozen=True)
class LatencyTable:
    """Operator latencies of one device, runtime and precision.

    Attributes:
        device: Name of the device.
        runtime: Name of the runtime.
        precision: e.g. "fp32".
        batch: Images at once.
        alignment: Channels that the runtime computes at once.
        fingerprint: What the device was when the table was measured.
        rows: Operators.
        calibration: From operators to networks.
        error: Errors on networks that neither rows nor calibration saw: shares ("median_error", "mean_error",
            "p90_error", "within_5", "within_10"), "kendall_tau", "networks", and the same for MACs as the
            predictor ("macs_median_error", ...).
        provenance: How the table came about: the space, the seed, the numbers of networks, the time.
    """

    device: str
    runtime: str
    precision: str
    batch: int
    alignment: int
    fingerprint: Mapping[str, str]
    rows: Mapping[OperatorSpec, Row]
    calibration: Calibration = field(default_factory=Calibration)
    error: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    _answers: dict[OperatorSpec, Answer] = field(default_factory=dict, init=False, repr=False, compare=False)

    def lookup(self, spec: OperatorSpec) -> Answer:
        """Latency of one operator, before calibration.

        A width between two rows of its family lies on the line between them. One that is no multiple of the
        alignment is taken for the next multiple, as if it were padded, and counts as estimated. Anything else
        follows the formula of its group.

        Raises:
            HwticketsError: The table holds nothing like it.
        """
        answer = self._answers.get(spec)
        if answer is None:
            answer = self._answers[spec] = self._find(spec)
        return answer

    def operator_sum(self, graph: OperatorGraph) -> float:
        """Uncalibrated sum of a network's operators, in ms."""
        return sum(self.lookup(operator.spec).ms for operator in graph)

    def predict(self, graph: OperatorGraph) -> Prediction:
        """Latency of a network, with its expected error."""
        answers = [self.lookup(operator.spec) for operator in graph]
        calibration = self.calibration
        ms = (
            calibration.offset_ms
            + calibration.scale * sum(answer.ms for answer in answers)
            + calibration.per_operator_ms * len(answers)
        )
        doubt_ms = sum(answer.ms * answer.error_share for answer in answers if answer.kind != "measured")
        error_ms = math.hypot(self.error.get("p90_error", 0.0), _DRIFT) * ms + calibration.scale * doubt_ms
        return Prediction(ms, error_ms, dict(Counter(answer.kind for answer in answers)))

    def _find(self, spec: OperatorSpec) -> Answer:
        row = self.rows.get(spec)
        if row is not None:
            return Answer(
                row.latency_ms, "measured", row.spread_ms / row.latency_ms if row.latency_ms else 0.0
            )
        return self._interpolated(spec) or self._estimated(spec)

    def _interpolated(self, spec: OperatorSpec) -> Answer | None:
        nearest: tuple[int, Answer] | None = None
        for family, width in places(spec):
            padded = -(-width // self.alignment) * self.alignment
            found = self._between(self._families.get(family, []), padded)
            if found is not None and width != padded:
                found = found[0], Answer(found[1].ms, "estimated", _UNALIGNED_ERROR)
            if found is not None and (nearest is None or found[0] < nearest[0]):
                nearest = found
        return nearest[1] if nearest else None

    def _between(self, entries: list[tuple[int, OperatorSpec]], width: int) -> tuple[int, Answer] | None:
        """The answer at `width` and the gap between the two rows around it."""
        widths = [entry[0] for entry in entries]
        position = int(np.searchsorted(widths, width))
        if position == len(entries):
            return None
        above = self.rows[entries[position][1]].latency_ms
        if widths[position] == width:
            return 0, Answer(above, "interpolated", _INTERPOLATION_ERROR)
        if position == 0:
            return None
        below = self.rows[entries[position - 1][1]].latency_ms
        gap = widths[position] - widths[position - 1]
        ms = below + (above - below) * (width - widths[position - 1]) / gap
        return gap, Answer(
            ms, "interpolated", max(_INTERPOLATION_ERROR, abs(above - below) / 2 / ms if ms else 0.0)
        )

    def _estimated(self, spec: OperatorSpec) -> Answer:
        formula = self._formulas.get(group(spec))
        if formula is None:
            raise HwticketsError(
                f"the latency table {self.device}/{self.runtime}-{self.precision} holds no operator of"
                f" the kind '{group(spec)}'; build a table for this supernet: hwtickets table build"
            )
        coefficients, error_share = formula
        return Answer(float(formula_terms(spec) @ coefficients), "estimated", error_share)

    @cached_property
    def _families(self) -> dict[Family, list[tuple[int, OperatorSpec]]]:
        return members(self.rows)

    @cached_property
    def _formulas(self) -> dict[str, tuple[NDArray[np.float64], float]]:
        """Coefficients of every group's formula and its median relative error on the rows."""
        by_group: dict[str, list[OperatorSpec]] = {}
        for spec in self.rows:
            by_group.setdefault(group(spec), []).append(spec)
        return {name: self._formula(specs) for name, specs in by_group.items()}

    def _formula(self, specs: list[OperatorSpec]) -> tuple[NDArray[np.float64], float]:
        from scipy.optimize import nnls

        terms = np.array([formula_terms(spec) for spec in specs])
        latency = np.array([self.rows[spec].latency_ms for spec in specs])
        weights = 1.0 / np.maximum(latency, 1e-6)
        coefficients = nnls(terms * weights[:, None], latency * weights)[0]
        errors = np.abs(terms @ coefficients - latency) * weights
        return coefficients, max(0.1, float(np.median(errors)))


def calibrated(
    table: LatencyTable, graphs: list[OperatorGraph], latencies_ms: NDArray[np.float64]
) -> LatencyTable:
    """The table with the calibration that fits whole networks best, in relative squares, none negative."""
    from scipy.optimize import nnls

    terms = np.array([[1.0, table.operator_sum(graph), len(graph)] for graph in graphs])
    offset_ms, scale, per_operator_ms = nnls(terms / latencies_ms[:, None], np.ones(len(graphs)))[0].tolist()
    return replace(table, calibration=Calibration(offset_ms, scale, per_operator_ms))

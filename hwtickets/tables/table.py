"""The latency table: operator latencies, a calibration on whole networks, and how far to trust it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.lookup import Answer, Lookup
from hwtickets.tables.roofline import Roofline

#: Of a network whose operators were never compared with whole networks. The one pair in the shipped tables:
#: the layers of MobileNetV2 on a Jetson Orin Nano take half as long as the network.
_UNCALIBRATED_ERROR = 0.5
#: A quiet machine is this much faster or slower from one process to the next (measured: median ratio 0.98 to
#: 1.02); next to busy neighbours it is up to 0.17, which only a measurement at the time can correct.
_DRIFT = 0.02


@dataclass(frozen=True)
class Row:
    """One operator.

    Attributes:
        latency_ms: Its share of a network's latency, at the table's batch.
        spread_ms: Standard error of that; 0 where it is not known.
        runs: Timed runs of the networks that it was found in; 1 where that is not known.
        networks: How many networks those were.
        energy_mj: Energy of the same; None where no sensor answered.
    """

    latency_ms: float
    spread_ms: float = 0.0
    runs: int = 1
    networks: int = 1
    energy_mj: float | None = None


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
        provenance: How the table came about: the space, the seed, the numbers of networks, the time; of a
            table from elsewhere its "kind" ("measured" or "calibrated analytic"), "source", "licence" and
            "defects".
        roofline: Prices of the operators of a table without rows.
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
    roofline: Roofline | None = None

    @property
    def name(self) -> str:
        """What reports call it, e.g. "cpu/onnxruntime-fp32", "v100/tensorrt-int8-b32"."""
        return f"{self.device}/{self.runtime}-{self.precision}" + (
            f"-b{self.batch}" if self.batch != 1 else ""
        )

    def lookup(self, spec: OperatorSpec) -> Answer:
        """Latency of one operator, before calibration; see `lookup_many`."""
        return self.lookup_many([spec])[0]

    def lookup_many(self, specs: Sequence[OperatorSpec]) -> list[Answer]:
        """Latencies of operators, before calibration, in order.

        A width between two rows of its family lies on the line between them, unless the runtime takes a step
        there: then it costs what the row above costs. Where the line is a poor guess and the other rows know
            better, theirs is taken, but nothing outside the two rows. A width that is no multiple of the
            alignment is taken for the next multiple, as if it were padded, and counts as estimated. Anything
            else follows a roofline fitted to the rows and what the nearest rows say about it; it counts as
            interpolated where rows of its shape have fewer and more channels, input and output alike. An
            activation that no row has makes no difference: it is fused.

        Raises:
            HwticketsError: The table has neither rows nor a roofline.
        """
        return self._lookup.answers(specs)

    def operator_sum(self, graph: OperatorGraph) -> float:
        """Uncalibrated sum of a network's operators, in ms."""
        return sum(answer.ms for answer in self.lookup_many([operator.spec for operator in graph]))

    def predict(self, graph: OperatorGraph) -> Prediction:
        """Latency of a network, with its expected error."""
        answers = self.lookup_many([operator.spec for operator in graph])
        calibration = self.calibration
        ms = (
            calibration.offset_ms
            + calibration.scale * sum(answer.ms for answer in answers)
            + calibration.per_operator_ms * len(answers)
        )
        # Of a table without rows the error on networks is that of its estimates already.
        stated = self.roofline.error_share if self.roofline and not self.rows else 0.0
        doubt_ms = sum(
            answer.ms * max(0.0, answer.error_share - stated)
            for answer in answers
            if answer.kind != "measured"
        )
        share = math.hypot(self.error.get("p90_error", _UNCALIBRATED_ERROR), _DRIFT)
        error_ms = share * ms + calibration.scale * doubt_ms
        return Prediction(ms, error_ms, dict(Counter(answer.kind for answer in answers)))

    def estimated(self, graph: OperatorGraph) -> list[str]:
        """Names of a network's operators that neither have a row nor lie between rows."""
        answers = self.lookup_many([operator.spec for operator in graph])
        return [
            operator.name
            for operator, answer in zip(graph, answers, strict=True)
            if answer.kind == "estimated"
        ]

    def describe(self) -> dict[str, Any]:
        """Everything about the table but its rows: where each number comes from and how far to trust it."""
        kinds = Counter(spec.kind for spec in self.rows)
        return {
            "table": self.name,
            "batch": self.batch,
            "rows": len(self.rows),
            "operators": dict(kinds.most_common()),
            "kind": self.provenance.get("kind", "calibrated analytic" if self.roofline else "measured"),
            "alignment": self.alignment,
            "error": dict(self.error),
            "calibration": asdict(self.calibration),
            "fingerprint": dict(self.fingerprint),
            "provenance": {key: value for key, value in self.provenance.items() if key != "kind"},
        }

    @cached_property
    def _lookup(self) -> Lookup:
        stated = re.fullmatch(r"[0-9]{1,6}", self.fingerprint.get("multiprocessors", ""))
        units = int(stated[0]) if stated else 0
        return Lookup(self.rows, self.alignment, self.batch, units, self.roofline)


def calibrated(
    table: LatencyTable, graphs: list[OperatorGraph], latencies_ms: NDArray[np.float64]
) -> LatencyTable:
    """The table with the calibration that fits whole networks best, in relative squares, none negative."""
    from scipy.optimize import nnls

    terms = np.array([[1.0, table.operator_sum(graph), len(graph)] for graph in graphs])
    offset_ms, scale, per_operator_ms = nnls(terms / latencies_ms[:, None], np.ones(len(graphs)))[0].tolist()
    return replace(table, calibration=Calibration(offset_ms, scale, per_operator_ms))

"""Latency of a network on a device, predicted from a table and corrected by measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwtickets.costs.additive import AdditiveCost
from hwtickets.space.operators import OperatorGraph, OperatorSpec

if TYPE_CHECKING:
    from hwtickets.tables.table import LatencyTable


@dataclass(frozen=True)
class LatencyCost:
    """Predicted latency in milliseconds, batch 1.

    Attributes:
        table: Operator latencies and their calibration on whole networks.
        correction: Measured over predicted latency of whole networks in this run; follows the device's
            present speed.
    """

    table: LatencyTable
    correction: float = 1.0

    def additive(self) -> AdditiveCost:
        """The prediction as a sum over operators, for the draw and the training penalty."""
        calibration = self.table.calibration

        def of_many(specs: Sequence[OperatorSpec]) -> list[float]:
            return [
                self.correction * (calibration.scale * answer.ms + calibration.per_operator_ms)
                for answer in self.table.lookup_many(specs)
            ]

        return AdditiveCost(
            "latency",
            "ms",
            self.correction * calibration.offset_ms,
            lambda spec: of_many([spec])[0],
            of_many=of_many,
        )

    def predict_ms(self, graph: OperatorGraph) -> tuple[float, float]:
        """Predicted latency and its expected error, both in ms."""
        prediction = self.table.predict(graph)
        return self.correction * prediction.ms, self.correction * prediction.error_ms

    def corrected(self, predicted_ms: float, measured_ms: float) -> LatencyCost:
        """The same table after one more measurement of a network that it predicted."""
        return LatencyCost(self.table, self.correction * measured_ms / predicted_ms)

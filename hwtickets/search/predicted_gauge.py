"""What a table says of a delivered network, for a device that nobody has at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.costs import LatencyCost
from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.check import verify_bundle
from hwtickets.devices import get_device, open_bench
from hwtickets.search.job import Job
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.space.operators import OperatorGraph
from hwtickets.sparsity.allocation import Allocation
from hwtickets.tables import LatencyTable

#: What a network costs besides its operators.
FIXED = "fixed cost"
#: The device whose ONNX Runtime checks what the exported network computes.
_HERE = "cpu"


class PredictedGauge:
    """Answers as `Gauge` does, with predictions for latencies; the numerics are checked on this machine.

    Args:
        job: The search.
        table: The table of the device.
        forms: Deployed forms of the dense network.
        mixed: Prices in every precision, where these are drawn.
    """

    measures = False

    def __init__(
        self, job: Job, table: LatencyTable, forms: Mapping[str, str], mixed: MixedPrices | None = None
    ) -> None:
        self._job, self._table, self._cost, self._mixed = job, table, LatencyCost(table), mixed
        self._dense = job.space.graph(job.space.dense(), forms)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Of the device that the table was made on."""
        return self._table.fingerprint

    def budget_ms(self, drawn: Allocation, export: Callable[[], Path], runs: int) -> float:
        """Predicted latency of a network in ms.

        Args:
            drawn: The network.
            export: Not called: there is nothing to run it on.
            runs: Not needed.
        """
        return self._predict_ms(drawn)[0]

    def examine(self, drawn: Allocation, bundle: Bundle, runs: int, folder: Path) -> dict[str, Any]:
        """Everything that is reported of a delivered network; what only a device could tell is None.

        Args:
            drawn: The network.
            bundle: Its bundle.
            runs: Not needed.
            folder: Gets the prediction.

        Raises:
            NumericsError: ONNX Runtime does not compute what PyTorch computes.
        """
        with open_bench(get_device(_HERE)) as bench:
            numerics, _ = verify_bundle(bundle, bench)
        numerics.require_ok(bundle.model_path)
        predicted_ms, error_ms = self._predict_ms(drawn)
        blocks = self._drawn_blocks(drawn, predicted_ms)
        files.write_json(folder.with_name(_HERE) / "verify.json", numerics.as_dict())
        files.write_json(
            folder / "predicted.json",
            {
                "table": self._table.name,
                "predicted_ms": predicted_ms,
                "predicted_error_ms": error_ms,
                "blocks": blocks,
            },
        )
        return {
            "fingerprint": dict(self.fingerprint),
            "predicted_ms": predicted_ms,
            "budget_ms": predicted_ms,
            "speed": 1.0,
            "latency_ms": None,
            "dense_latency_ms": None,
            "ratio": None,
            "blocks": blocks,
            "dense_blocks": self._blocks(self._dense, self._cost.predict_ms(self._dense)[0]),
            "verify": numerics.as_dict(),
        }

    def _graph(self, drawn: Allocation) -> OperatorGraph:
        return self._job.space.graph(drawn.widths, drawn.forms)

    def _predict_ms(self, drawn: Allocation) -> tuple[float, float]:
        """Predicted latency and its expected error, of a mix the same share as in fp32."""
        exact_ms, error_ms = self._cost.predict_ms(self._graph(drawn))
        if self._mixed is None:
            return exact_ms, error_ms
        mixed_ms = self._mixed.latency_ms(drawn)
        return mixed_ms, error_ms * mixed_ms / exact_ms

    def _drawn_blocks(self, drawn: Allocation, latency_ms: float) -> list[dict[str, float | str]]:
        if self._mixed is None:
            return self._blocks(self._graph(drawn), latency_ms)
        return _summing(self._mixed.part_times(drawn), latency_ms)

    def _blocks(self, graph: OperatorGraph, latency_ms: float) -> list[dict[str, float | str]]:
        """Where the time is expected to go."""
        cost, totals = self._cost.additive(), dict[str, float]()
        for operator in graph:
            totals[operator.block] = totals.get(operator.block, 0.0) + cost.of(operator.spec)
        return _summing(totals, latency_ms)


def _summing(totals: Mapping[str, float], latency_ms: float) -> list[dict[str, float | str]]:
    """The times of the parts, and what the latency has besides."""
    scale = min(1.0, latency_ms / max(sum(totals.values()), 1e-12))
    parts: list[dict[str, float | str]] = [{"name": name, "ms": ms * scale} for name, ms in totals.items()]
    return [*parts, {"name": FIXED, "ms": max(0.0, latency_ms - sum(totals.values()) * scale)}]

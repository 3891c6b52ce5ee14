"""What the device shows of a delivered network, next to the dense one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.check import Measurement, block_times, measure, verify_bundle, why_it_differs
from hwtickets.deploy.samples import Samples
from hwtickets.devices import device_fingerprint, open_bench
from hwtickets.runtimes import Bench
from hwtickets.search.job import Job
from hwtickets.sparsity.allocation import Allocation

#: How many times finer than the tolerance of the budget a latency is measured, where that can be done.
_FINER = 3


class Gauge:
    """Measures exported networks of one job side by side with its dense network.

    Args:
        job: The search.
        dense: The exported dense network.
        dense_ms: Its latency when the space was profiled; budgets that are shares are shares of this.
        samples: Real images to run on.
    """

    measures = True

    def __init__(self, job: Job, dense: Path, dense_ms: float, samples: Samples) -> None:
        self._job, self._dense, self._dense_ms = job, dense, dense_ms
        self._image = samples.inputs[:1]
        budget = job.budgets.get("latency")
        self._relative = budget is not None and budget.relative

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Of the device, as it is now."""
        return device_fingerprint(self._job.device, self._job.built_at)

    def budget_ms(self, drawn: Allocation, export: Callable[[], Path], runs: int) -> float:
        """Latency of a network in ms, as the budget counts it.

        Args:
            drawn: The network.
            export: Writes its ONNX file.
            runs: Timed runs.
        """
        model = export()
        with self._bench() as bench:
            return self._budget_ms(self._time(bench, model, runs))

    def examine(self, drawn: Allocation, bundle: Bundle, runs: int, folder: Path) -> dict[str, Any]:
        """Everything that is reported of a delivered network: numerics, latency, where the time goes.

        Args:
            drawn: The network.
            bundle: Its bundle.
            runs: Timed runs.
            folder: Gets every sample, the time of every block and the numerics.

        Raises:
            NumericsError: The device does not compute what PyTorch computes.
        """
        with self._bench() as bench:
            numerics, _ = verify_bundle(bundle, bench)
            where = "" if numerics.ok else why_it_differs(bundle, bench, numerics, None)
            numerics.require_ok(bundle.model_path, where)
            timed = self._time(bench, bundle.model_path, runs)
            blocks = {
                name: self._blocks(bench, path, timed.timings[name].p50_ms)
                for name, path in (("ticket", bundle.model_path), ("dense", self._dense))
            }
        _write(folder, timed, blocks["ticket"], numerics.as_dict())
        return {
            "fingerprint": dict(self.fingerprint),
            "predicted_ms": drawn.costs["latency"],
            "budget_ms": self._budget_ms(timed),
            "speed": self._speed(timed),
            "latency_ms": timed.timings["ticket"].summary(),
            "dense_latency_ms": timed.timings["dense"].summary(),
            "ratio": dict(zip(("median", "low", "high"), timed.ratios["ticket"], strict=True)),
            "blocks": blocks["ticket"],
            "dense_blocks": blocks["dense"],
            "verify": numerics.as_dict(),
        }

    def _bench(self) -> Bench:
        return open_bench(self._job.device, self._job.built_at)

    def _time(self, bench: Bench, model: Path, runs: int) -> Measurement:
        # A verdict within the tolerance needs a measurement that is finer than it.
        uncertainty = self._job.config.tolerance / _FINER
        models = {"dense": self._dense, "ticket": model}
        return measure(models, "dense", bench, runs, self._image, uncertainty)

    def _blocks(self, bench: Bench, model: Path, latency_ms: float) -> list[dict[str, float | str]]:
        return block_times(model, self._job.space.blocks, bench, self._image, latency_ms)

    def _budget_ms(self, timed: Measurement) -> float:
        """The latency that the budget is about: a share of the dense network is measured as one."""
        if self._relative:
            return timed.ratios["ticket"][0] * self._dense_ms
        return timed.timings["ticket"].p50_ms

    def _speed(self, timed: Measurement) -> float:
        """The device's latency now over that of the profile, for budgets that are shares; else 1."""
        return timed.timings["dense"].p50_ms / self._dense_ms if self._relative else 1.0


def _write(
    folder: Path, timed: Measurement, blocks: list[dict[str, float | str]], numerics: Mapping[str, Any]
) -> None:
    files.write_json(folder / "times.json", {name: asdict(timing) for name, timing in timed.timings.items()})
    files.write_json(folder / "layers.json", blocks)
    files.write_json(folder / "verify.json", dict(numerics))

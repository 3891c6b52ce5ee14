"""What a device shows of a deployed network: latency, throughput, first run, energy, clocks, layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwtickets.deploy.batches import FixedBatchError, at_batch
from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.cold import ColdBench, cold_start_here
from hwtickets.deploy.layers import Layer, by_block, layer_times
from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.deploy.sparse_account import with_sparse
from hwtickets.devices import DeviceProfile
from hwtickets.devices.pace import pace_now, throttled_between
from hwtickets.errors import DeviceError
from hwtickets.power import NoMeterError
from hwtickets.runtimes import Bench, Timing, paired_ratio
from hwtickets.runtimes.bench import MeteredBench
from hwtickets.runtimes.to_build import ANEW

TICKET, DENSE = "ticket", "dense"
_BATCH_SECONDS = 5.0
_NOT_ANEW = "not available: this device does not start networks anew"


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        bundle: The network.
        profile: The device.
        runs: Timed runs.
        dense: Another bundle, timed in turns with it.
        batches: Images at once whose throughput is measured, besides one.
        builds: How often the network is built, and each build timed.
    """

    bundle: Bundle
    profile: DeviceProfile
    runs: int
    dense: Bundle | None = None
    batches: Sequence[int] = ()
    builds: int = 1

    @property
    def networks(self) -> dict[str, Bundle]:
        """The bundles by what they are called here; the ticket first."""
        return {TICKET: self.bundle, **({DENSE: self.dense} if self.dense else {})}

    @property
    def image(self) -> Any:
        """One real input."""
        return self.bundle.samples.inputs[:1]


@dataclass
class Findings:
    """What was measured.

    Attributes:
        summary: Every figure but the samples and layers, JSON-able; what could not be had says why.
        samples_ms: Every timed run by network, builds one after another.
        layers: By network; empty where the runtime does not tell.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    samples_ms: dict[str, list[float]] = field(default_factory=dict)
    layers: dict[str, list[Layer]] = field(default_factory=dict)


def take_measurements(plan: Plan, bench: Bench) -> Findings:
    """Measures everything that the device offers.

    Args:
        plan: What is wanted.
        bench: The device, open.

    Raises:
        DeviceError: The device cannot be reached, or throttled most of the time.
        HwticketsError: A model cannot be loaded there.
    """
    found = Findings()
    latency_ms = _timings(plan, bench, found)
    found.summary["first_run"] = _first_run(plan, bench)
    found.summary["energy"] = _energy(plan, bench)
    if plan.batches:
        found.summary["throughput"] = [_throughput(plan, bench, batch) for batch in plan.batches]
    found.summary["blocks"] = _layers(plan, bench, latency_ms, found)
    return found


def _timings(plan: Plan, bench: Bench, found: Findings) -> dict[str, float]:
    """Latencies, builds and clocks; the median of each network in ms."""
    builds = {
        name: [(f"{name} {number}", _rebuilt(bundle, number)) for number in range(plan.builds)]
        for name, bundle in plan.networks.items()
    }
    local = plan.profile.connection == "local"
    gpu = plan.profile.runtime.find("cuda") >= 0
    before = pace_now(gpu) if local else None
    runs = -(-plan.runs // plan.builds)
    timed = bench.time(dict(one for own in builds.values() for one in own), {"x": plan.image}, runs)
    pooled = {name: _pooled([timed[key] for key, _ in own]) for name, own in builds.items()}
    found.samples_ms = {name: timing.samples_ms for name, timing in pooled.items()}
    latency = pooled[TICKET]
    found.summary |= {
        "latency_ms": latency.summary(),
        "throughput_per_s": 1000 / latency.p50_ms,
        "discarded_runs": latency.discarded,
    }
    if DENSE in pooled:
        found.summary["dense_latency_ms"] = pooled[DENSE].summary()
        found.summary["ratio"] = dict(
            zip(("median", "low", "high"), paired_ratio(latency, pooled[DENSE]), strict=True)
        )
    if plan.builds > 1:
        found.summary["builds"] = {
            name: _spread([timed[key].p50_ms for key, _ in own]) for name, own in builds.items()
        }
    found.summary |= _pace_here(before, gpu) if before else _pace_there(latency)
    return {name: timing.p50_ms for name, timing in pooled.items()}


def _rebuilt(bundle: Bundle, number: int) -> bytes:
    """The model as one that no cache of built networks knows, but for the first."""
    content = bundle.model_path.read_bytes()
    if not number:
        return content
    proto = opened_onnx(content)
    proto.metadata_props.add(key=ANEW, value=str(number))
    serialized: bytes = proto.SerializeToString()
    return serialized


def _pooled(timings: Sequence[Timing]) -> Timing:
    samples_ms = [sample for timing in timings for sample in timing.samples_ms]
    discarded = sum(timing.discarded for timing in timings)
    return Timing(samples_ms, timings[0].clock, discarded, timings[0].clocks_mhz)


def _spread(medians_ms: Sequence[float]) -> dict[str, Any]:
    least, most = min(medians_ms), max(medians_ms)
    return {
        "medians_ms": list(medians_ms),
        "spread_percent": 100 * (most - least) / float(np.median(medians_ms)),
    }


def _pace_here(before: Any, gpu: bool) -> dict[str, Any]:
    after = pace_now(gpu)
    slowed = throttled_between(before, after)
    unknown = "not available: the system counts no throttling"
    clocks: Any = {"before": dict(before.clocks_mhz), "after": dict(after.clocks_mhz)}
    return {
        "clocks_mhz": clocks if after.clocks_mhz else "not available: the system tells no clocks",
        "throttling": unknown if slowed is None else slowed or "none",
    }


def _pace_there(latency: Timing) -> dict[str, Any]:
    told = [dict(clocks) for clocks in latency.clocks_mhz]
    slowed = f"{latency.discarded} runs discarded" if latency.discarded else "none"
    known: Any = dict(zip(("before", "after"), told, strict=False))
    return {
        "clocks_mhz": known if any(told) else "not available: the board tells no clocks",
        "throttling": slowed,
    }


def _first_run(plan: Plan, bench: Bench) -> dict[str, Any] | str:
    model, precision = plan.bundle.model_path, bench.fingerprint.get("precision", "fp32")
    try:
        if isinstance(bench, ColdBench):
            return bench.cold_start(model, {"x": plan.image}).as_dict()
        if plan.profile.connection == "local":
            return cold_start_here(plan.profile, precision, model, plan.image).as_dict()
    except DeviceError as error:
        return f"not available: {error}"
    return _NOT_ANEW


def _energy(plan: Plan, bench: Bench) -> dict[str, Any] | str:
    """Energy and power of one inference, or why there is none; never 0."""
    if not isinstance(bench, MeteredBench):
        return "not available: this device has no way to a power sensor"
    try:
        measured = bench.energy(plan.bundle.model_path, {"x": plan.image})
    except NoMeterError as error:
        return f"not available: {error.reason}"
    except DeviceError as error:
        return f"not available: {error}"
    return {**measured.as_dict(), "power_mw": measured.total_mj * measured.runs / measured.seconds}


def _throughput(plan: Plan, bench: Bench, batch: int) -> dict[str, Any]:
    """Images per second with several at once; of the dense network too, in turns."""
    images = plan.bundle.samples.inputs
    try:
        models = {
            name: at_batch(bundle.model_path.read_bytes(), batch, images, bundle.facts["precision"])
            for name, bundle in plan.networks.items()
        }
    except FixedBatchError as error:
        return {"batch": batch, "not_available": str(error)}
    inputs = {"x": images[np.arange(batch) % len(images)]}
    timed = bench.time(models, inputs, plan.runs, seconds=_BATCH_SECONDS)
    per_second = {name: 1000 * batch / timing.p50_ms for name, timing in timed.items()}
    return {
        "batch": batch,
        "latency_ms": timed[TICKET].p50_ms,
        "images_per_s": per_second[TICKET],
        **({"dense_images_per_s": per_second[DENSE]} if DENSE in per_second else {}),
    }


def _layers(
    plan: Plan, bench: Bench, latency_ms: Mapping[str, float], found: Findings
) -> list[dict[str, float | str]] | str:
    """Finds the layers of every network; the time of the ticket's blocks, or why it is not known."""
    from hwtickets.runtimes.runtime import NoProfileError

    try:
        for name, bundle in plan.networks.items():
            found.layers[name] = layer_times(
                bundle.model_path, bundle.facts["forms"], bench, plan.image, latency_ms[name]
            )
    except NoProfileError as error:
        return f"not available: {error}"
    found.layers = {
        name: with_sparse(own, bench, plan.networks[name].model_path, {"x": plan.image})
        for name, own in found.layers.items()
    }
    return by_block(found.layers[TICKET])

"""Running a bundle on a device: numerics, latency, and where the time goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.numerics import TOLERANCES, Array, Numerics, compare_outputs
from hwtickets.deploy.onnx_export import block_of
from hwtickets.runtimes import Bench, Timing, paired_ratio
from hwtickets.runtimes.profiling import original_name
from hwtickets.tasks import task_class

OVERHEAD = "session overhead"


@dataclass(frozen=True)
class Measurement:
    """Networks timed side by side.

    Attributes:
        timings: Timing by name.
        ratios: Median of the paired ratio to the reference and its 95 % interval, by name.
    """

    timings: dict[str, Timing]
    ratios: dict[str, tuple[float, float, float]]


def verify_bundle(bundle: Bundle, bench: Bench, images: int | None = None) -> tuple[Numerics, float]:
    """Compares a bundle on a device with PyTorch.

    Args:
        bundle: The bundle.
        bench: Where to run.
        images: How many of its samples; all by default.

    Returns:
        The comparison, and the task's score on the same images.
    """
    inputs = bundle.samples.inputs[:images]
    outputs = bench.run(bundle.model_path, [{"x": image[None]} for image in inputs])
    actual = np.concatenate([output[0] for output in outputs])
    task, expected = task_class(bundle.facts["task"]), bundle.expected[:images]
    # An 8-bit graph stays one on a device of another precision; a plain one is built in the device's own.
    tolerance = max(TOLERANCES[bundle.facts["precision"]], TOLERANCES[bench.fingerprint["precision"]])
    numerics = compare_outputs(expected, actual, tolerance, task.agreement)
    return numerics, task.score_outputs(actual, bundle.samples.targets[:images])


def measure(models: Mapping[str, Path], reference: str, bench: Bench, runs: int, image: Array) -> Measurement:
    """Times models interleaved with one another on one real image.

    Args:
        models: ONNX files by name.
        reference: Name of the model that the ratios are taken to.
        bench: Where to run.
        runs: Timed runs of each.
        image: One input, shape (1, channels, height, width).
    """
    timings = bench.time(models, {"x": image}, runs)
    ratios = {name: paired_ratio(timing, timings[reference]) for name, timing in timings.items()}
    return Measurement(timings, ratios)


def block_times(
    model: Path, blocks: Collection[str], bench: Bench, image: Array, latency_ms: float
) -> list[dict[str, float | str]]:
    """Where the time of a model goes.

    Profiling adds about the same time to every node: what the profile exceeds the latency by is taken off in
    equal parts. Where it stays below, the rest is the session's own overhead. The parts sum to the latency.

    Args:
        model: The ONNX file.
        blocks: Names of the searching blocks.
        bench: Where to run.
        image: One input.
        latency_ms: The model's measured latency without profiling.
    """
    times = bench.node_times(model, {"x": image})
    excess_ms = max(0.0, sum(time.mean_ms for time in times.values()) - latency_ms) / max(1, len(times))
    totals: dict[str, float] = {}
    block = "stem"
    for node, time in times.items():
        name = original_name(node)
        # Nodes that the runtime inserted (layout changes) have no scope of ours: they serve what ran before.
        block = block_of(name, blocks) if "/" in name else block
        totals[block] = totals.get(block, 0.0) + max(0.0, time.mean_ms - excess_ms)
    scale = min(1.0, latency_ms / max(sum(totals.values()), 1e-12))
    parts: list[dict[str, float | str]] = [{"name": name, "ms": ms * scale} for name, ms in totals.items()]
    return [*parts, {"name": OVERHEAD, "ms": max(0.0, round(latency_ms - sum(totals.values()) * scale, 9))}]

"""Running a bundle on a device: numerics, latency, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.deviation import first_deviation
from hwtickets.deploy.layers import by_block, layer_times
from hwtickets.deploy.numerics import Array, Numerics, compare_outputs, tolerance_of
from hwtickets.deploy.references import find_reference
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.runtimes import Bench, Timing, paired_ratio
from hwtickets.tasks import task_class

#: How often the runs of a measurement are repeated until it is sure enough, and after how long no more.
_MOST_TIMES, _LONGEST_S = 10, 30.0


@dataclass(frozen=True)
class Measurement:
    """Networks timed side by side.

    Attributes:
        timings: Timing by name.
        ratios: Median of the paired ratio to the reference and its 95 % interval, by name.
    """

    timings: dict[str, Timing]
    ratios: dict[str, tuple[float, float, float]]

    @property
    def uncertainty(self) -> float:
        """Half of the widest of the intervals, as a share of its ratio."""
        return max((high - low) / 2 / median for median, low, high in self.ratios.values())


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
    tolerance = tolerance_of(bundle.facts["precision"], bench.fingerprint)
    numerics = compare_outputs(bundle.expected[:images], actual, tolerance, bundle.facts["task"])
    return numerics, _score(bundle, actual, images)


def score_of_pytorch(bundle: Bundle, images: int | None = None) -> float:
    """The task's score of what PyTorch computed for the samples; arguments as of `verify_bundle`."""
    return _score(bundle, bundle.expected[:images], images)


def why_it_differs(bundle: Bundle, bench: Bench, numerics: Numerics, ticket: Path | None) -> str:
    """Which operator is the first to compute something else, in words; "" where that cannot be said.

    Args:
        bundle: The bundle.
        bench: Where it runs.
        numerics: What `verify_bundle` found.
        ticket: Folder of its ticket; looked for beside the bundle if None.
    """
    number = numerics.worst_image
    image, blocks = bundle.samples.inputs[number : number + 1], bundle.facts["forms"]
    try:
        reference = find_reference(bundle, ticket)
        content = bundle.model_path.read_bytes()
        found = first_deviation(content, reference.model, bench, image, numerics.tolerance, blocks)
    except UsageError:
        raise
    except HwticketsError as error:
        return f"its operators could not be compared ({error})"
    against = f"compared with {reference.origin}"
    return f"the first to differ is {found}, {against}" if found else f"no operator differs alone, {against}"


def measure(
    models: Mapping[str, Path],
    reference: str,
    bench: Bench,
    runs: int,
    image: Array,
    uncertainty: float | None = None,
) -> Measurement:
    """Times models interleaved with one another on one real image.

    Args:
        models: ONNX files by name.
        reference: Name of the model that the ratios are taken to.
        bench: Where to run.
        runs: Timed runs of each.
        image: One input, shape (1, channels, height, width).
        uncertainty: Where neighbours disturb, as many runs are added again and again until the measurement's
            is no larger; but for half a minute and nine times at most. None: no more runs than asked for.
    """
    begin_s = time.monotonic()
    measured = _measured(bench.time(models, {"x": image}, runs), reference)
    for _ in range(_MOST_TIMES - 1):
        long = time.monotonic() - begin_s > _LONGEST_S
        if uncertainty is None or measured.uncertainty <= uncertainty or long:
            break
        more = bench.time(models, {"x": image}, runs)
        joined = {name: timing.with_more(more[name]) for name, timing in measured.timings.items()}
        measured = _measured(joined, reference)
    return measured


def block_times(
    model: Path, blocks: Collection[str], bench: Bench, image: Array, latency_ms: float
) -> list[dict[str, float | str]]:
    """The time of every block of a model, in ms; arguments as of `layer_times`."""
    return by_block(layer_times(model, blocks, bench, image, latency_ms))


def _measured(timings: dict[str, Timing], reference: str) -> Measurement:
    ratios = {name: paired_ratio(timing, timings[reference]) for name, timing in timings.items()}
    return Measurement(timings, ratios)


def _score(bundle: Bundle, outputs: Array, images: int | None) -> float:
    return task_class(bundle.facts["task"]).score_outputs(outputs, bundle.samples.targets[:images])

"""Times of TensorRT's layers: what `trtexec --exportProfile`, TREX and torch_tensorrt write."""

from __future__ import annotations

import math
from statistics import median, stdev
from typing import Any

from hwtickets.tables.importers.collected import Found
from hwtickets.tables.importers.sources import Source, number, without_trailing_commas

#: trtexec writes six digits; what should be the same differs by this share at most.
_ROUNDING = 1e-4
#: A median this many times above or below its mean is damage: layers are steadier than that.
_MOST_SKEW = 20.0


def are_times(content: Any) -> bool:
    """Whether a JSON value looks like times of layers."""
    if isinstance(content, list):
        return any(isinstance(entry, dict) and "name" in entry for entry in content)
    return (
        isinstance(content, dict)
        and "Layers" not in content
        and any(isinstance(entry, list) for entry in content.values())
    )


def parse(source: Source) -> Any:
    """The JSON value of a file of TensorRT; the commas too many of torch_tensorrt are let pass."""
    text = source.text()
    return source.json(text if "\n]" not in text else without_trailing_commas(text))


def layer_times(source: Source, content: Any) -> dict[str, Found]:
    """Time of every layer, by its name.

    Args:
        source: Where it is from.
        content: Its JSON value, of one of these forms: trtexec's and TREX's list of name, timeMs, averageMs,
            medianMs, percentage; torch_tensorrt's with the format "trex" (the same without medianMs); a
            profiler's samples in ms by name, alone or each with the time of day.

    Raises:
        HwticketsError: A time is none, or the figures of a layer contradict one another.
    """
    if isinstance(content, dict):
        return {name: _sampled(source, name, samples) for name, samples in content.items()}
    rows = [entry for entry in content if isinstance(entry, dict) and "name" in entry]
    if any("dur" in row for row in rows):
        raise source.fault(
            "it is a trace with sums over an unknown number of runs; profile with profile_format='trex'"
        )
    count = next((entry["count"] for entry in content if isinstance(entry, dict) and "count" in entry), None)
    total_ms = sum(source.milliseconds(row.get("timeMs"), "a layer") for row in rows)
    times: dict[str, Found] = {}
    for row in rows:
        if not isinstance(row["name"], str) or row["name"] in times:
            raise source.fault(f"the layer '{row['name']!s:.100}' is there twice")
        times[row["name"]] = _summed(source, row, count, total_ms)
    return times


def _sampled(source: Source, name: str, samples: Any) -> Found:
    if not isinstance(samples, list) or not samples:
        raise source.fault(f"there are no times of the layer '{name:.100}'")
    values_ms = [
        source.milliseconds(sample[0] if isinstance(sample, list) and sample else sample, name)
        for sample in samples
    ]
    spread_ms = stdev(values_ms) / math.sqrt(len(values_ms)) if len(values_ms) > 1 else 0.0
    return Found(median(values_ms), spread_ms, len(values_ms))


def _summed(source: Source, row: dict[str, Any], count: Any, total_ms: float) -> Found:
    """A row with sum, mean and share of all; each follows from the others, so damage shows."""
    name = f"the layer {row['name']:.100}"
    sum_ms, mean_ms = (source.milliseconds(row.get(key), name) for key in ("timeMs", "averageMs"))
    share = number(row.get("percentage", 0.0))
    if share is None or not _alike(share, 100 * sum_ms / total_ms if total_ms else 0.0):
        raise source.fault(f"the percentage of {name} does not fit its time")
    runs = count if count is not None else round(sum_ms / mean_ms) if mean_ms else 1
    if not isinstance(runs, int) or runs < 1 or not _alike(sum_ms, mean_ms * runs):
        raise source.fault(f"timeMs and averageMs of {name} do not fit {runs} runs")
    if "medianMs" not in row:
        return Found(mean_ms, 0.0, runs)
    median_ms = source.milliseconds(row["medianMs"], name)
    if not mean_ms <= _MOST_SKEW * median_ms <= _MOST_SKEW**2 * mean_ms:
        raise source.fault(f"medianMs of {name} is far from its averageMs")
    return Found(median_ms, abs(median_ms - mean_ms), runs)


def _alike(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=1e-6)

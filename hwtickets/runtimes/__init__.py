"""Runtimes: loading a deployed network, running it and timing it."""

from __future__ import annotations

from hwtickets.runtimes.bench import Bench, LocalBench, Model
from hwtickets.runtimes.onnxruntime import Session, load
from hwtickets.runtimes.profiling import node_times
from hwtickets.runtimes.runtime import NoProfileError, Runtime, local_runtime
from hwtickets.runtimes.timing import Timing, median_ms, paired_ratio, time_interleaved

__all__ = [
    "Bench",
    "LocalBench",
    "Model",
    "NoProfileError",
    "Runtime",
    "Session",
    "Timing",
    "load",
    "local_runtime",
    "median_ms",
    "node_times",
    "paired_ratio",
    "time_interleaved",
]

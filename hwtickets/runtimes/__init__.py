"""Runtimes: loading a deployed network, running it and timing it."""

from __future__ import annotations

from hwtickets.runtimes.bench import Bench, LocalBench, Model
from hwtickets.runtimes.onnxruntime import Session, load
from hwtickets.runtimes.profiling import node_times
from hwtickets.runtimes.timing import Timing, paired_ratio, time_interleaved

__all__ = [
    "Bench",
    "LocalBench",
    "Model",
    "Session",
    "Timing",
    "load",
    "node_times",
    "paired_ratio",
    "time_interleaved",
]

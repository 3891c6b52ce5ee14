"""Clocks that a run is timed with."""

from __future__ import annotations

import time
from collections.abc import Callable

THREAD_TIME = "thread CPU time"
WALL_CLOCK = "wall clock"
CUDA_EVENTS = "CUDA events"

#: Runs a network once and says how many ms that took.
Timer = Callable[[], float]


def cpu_clock(threads: int) -> str:
    """The clock for a network on the CPU.

    With one thread all the work is done in the caller's: its CPU time is hardly disturbed by other programs.
    """
    return THREAD_TIME if threads == 1 else WALL_CLOCK


def timed(run: Callable[[], object], clock: str) -> Timer:
    """A timer of a function that returns when all is computed.

    Args:
        run: Computes once.
        clock: `THREAD_TIME` or `WALL_CLOCK`.
    """
    now_ns = time.thread_time_ns if clock == THREAD_TIME else time.perf_counter_ns

    def timer() -> float:
        begin_ns = now_ns()
        run()
        return (now_ns() - begin_ns) / 1e6

    return timer

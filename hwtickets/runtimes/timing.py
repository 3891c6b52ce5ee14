"""Timing of networks: interleaved, warm, and in thread CPU time where that is possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import DeviceError
from hwtickets.runtimes.clocks import Timer
from hwtickets.runtimes.onnxruntime import Array

#: Timed runs of one network in a row. The first run after another network finds its data evicted from the
#: caches (up to 1.8 times slower, measured on networks of 30-150 us); it is thrown away, so that a time does
#: not depend on the neighbours in the comparison.
_BURST = 5
_FEWEST_ROUNDS = 3
_BOOTSTRAP_DRAWS = 1000
#: Where more turns than this were slowed down, there is nothing left to trust.
_MOST_SLOWED_SHARE = 0.5


class Runnable(Protocol):
    """Anything that can be run and timed; `hwtickets.runtimes.Session` is one.

    Attributes:
        clock: What its times are of; see `hwtickets.runtimes.clocks`.
    """

    clock: str

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs for one set of inputs."""

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        """A timer of runs on inputs that are in place already, e.g. in the memory of a GPU."""


@dataclass(frozen=True)
class Timing:
    """Latencies of one network.

    Attributes:
        samples_ms: One entry a timed run, in order.
        clock: "thread CPU time", "wall clock", "CUDA events" or "GPU time (trtexec)".
        discarded: Runs that were thrown away because the device throttled.
        clocks_mhz: Of a board before and after, by unit ("cpu", "gpu", ...); empty where it does not tell.
    """

    samples_ms: list[float]
    clock: str
    discarded: int = 0
    clocks_mhz: tuple[Mapping[str, int], ...] = ()

    @property
    def runs(self) -> int:
        """How many runs were timed."""
        return len(self.samples_ms)

    @property
    def p10_ms(self) -> float:
        """The 10th percentile."""
        return self._percentile(10)

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self._percentile(50)

    @property
    def p90_ms(self) -> float:
        """The 90th percentile."""
        return self._percentile(90)

    @property
    def p99_ms(self) -> float:
        """The 99th percentile."""
        return self._percentile(99)

    def with_more(self, more: Timing) -> Timing:
        """This timing and one of the same network that was taken after it."""
        return Timing(
            self.samples_ms + more.samples_ms,
            self.clock,
            self.discarded + more.discarded,
            (*self.clocks_mhz, *more.clocks_mhz),
        )

    def summary(self) -> dict[str, float | int | str]:
        """The percentiles in ms ("p10", "p50", "p90", "p99"), "runs" and "clock"."""
        return {
            "p10": self.p10_ms,
            "p50": self.p50_ms,
            "p90": self.p90_ms,
            "p99": self.p99_ms,
            "runs": self.runs,
            "clock": self.clock,
        }

    def _percentile(self, percent: float) -> float:
        return float(np.percentile(self.samples_ms, percent))


def time_interleaved(
    sessions: Mapping[str, Runnable],
    inputs: Mapping[str, Array],
    runs: int,
    warmup: int = 20,
    seconds: float | None = None,
    warmup_s: float = 0.0,
    slowed_by: Callable[[], str] | None = None,
) -> dict[str, Timing]:
    """Times networks side by side, so that changes of the machine's speed meet all of them alike.

    The networks take turns, in alternating order; in its turn a network runs once untimed and then five
    times timed. On one thread of the CPU the clock is the thread's CPU time, which other programs hardly
    disturb; on a GPU it is the GPU's own, where it can be had; otherwise wall time. Networks of several
    runtimes may take turns with one another.

    Args:
        sessions: Networks by name.
        inputs: What each of them is run on.
        runs: Timed runs of each network; rounded up to full turns.
        warmup: Untimed runs of each network before the first turn.
        seconds: Stop after about this long for all networks together, but not before three turns each.
        warmup_s: Untimed runs go on until this time is over, too.
        slowed_by: Tells what slowed the device down since it was asked last, "" for nothing; the turns in
            which something did are discarded and counted.

    Returns:
        Timings by name; sample i of one network and sample i of another were taken close to one another.

    Raises:
        DeviceError: The device was slowed down in most of the turns.
    """
    timers = {name: session.timer(inputs) for name, session in sessions.items()}
    samples_ms: dict[str, list[float]] = {name: [] for name in sessions}
    begin_s = time.perf_counter()
    _warm_up(timers.values(), warmup, warmup_s)
    asked = slowed_by or _nothing
    asked()
    turns, reasons = 0, []
    for turn in range(max(_FEWEST_ROUNDS, -(-runs // _BURST))):
        if seconds is not None and turn >= _FEWEST_ROUNDS and time.perf_counter() - begin_s > seconds:
            break
        names = list(sessions) if turn % 2 else list(reversed(list(sessions)))
        found = {name: _burst(timers[name]) for name in names}
        turns += 1
        reason = asked()
        if reason:
            reasons.append(reason)
            continue
        for name in names:
            samples_ms[name] += found[name]
    if len(reasons) > _MOST_SLOWED_SHARE * turns:
        raise DeviceError(
            f"this machine throttled in {len(reasons)} of {turns} turns ({reasons[-1]}); cool it, check its"
            " supply, or choose a lower power mode, and measure again"
        )
    discarded = len(reasons) * _BURST
    return {name: Timing(samples_ms[name], one.clock, discarded) for name, one in sessions.items()}


def _warm_up(timers: Collection[Timer], runs: int, least_s: float) -> None:
    begin_s = time.perf_counter()
    for timer in timers:
        for _ in range(runs):
            timer()
    while time.perf_counter() - begin_s < least_s:
        for timer in timers:
            timer()


def _nothing() -> str:
    return ""


def paired_ratio(one: Timing, other: Timing) -> tuple[float, float, float]:
    """How many times as long `one` takes as `other`: median of the paired ratios and its 95 % interval.

    Both must come from one call of `time_interleaved`. The interval is a bootstrap over turns, because the
    runs of one turn are alike.
    """
    return _median_and_interval(np.array(one.samples_ms) / np.array(other.samples_ms))


def median_ratio(one: Timing, other: Timing) -> float:
    """The median of `paired_ratio` alone; of timings that differ in length, the ratio of their medians."""
    if one.runs != other.runs:
        return one.p50_ms / other.p50_ms
    return float(np.median(np.array(one.samples_ms) / np.array(other.samples_ms)))


def median_ms(timing: Timing) -> tuple[float, float, float]:
    """The median of a timing of `time_interleaved` and its 95 % interval, as of `paired_ratio`.

    It holds for the machine as it was in these minutes: from one process to another the medians of one
    network differ by more.
    """
    return _median_and_interval(np.array(timing.samples_ms))


def _median_and_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    turns = values[: len(values) // _BURST * _BURST].reshape(-1, _BURST)
    random = np.random.default_rng(0)
    picks = random.integers(0, len(turns), (_BOOTSTRAP_DRAWS, len(turns)))
    medians = np.median(turns[picks].reshape(_BOOTSTRAP_DRAWS, -1), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


def _burst(timer: Timer) -> list[float]:
    timer()
    return [timer() for _ in range(_BURST)]

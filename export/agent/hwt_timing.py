"""Networks that take turns at being timed."""

import time

from hwt_clocks import throttling
from hwt_refused import Refused

#: Timed runs of one network in a row, after one untimed run that brings its data back into the caches.
BURST = 5
FEWEST_TURNS = 3
#: More discarded turns than kept ones: there is nothing left to trust.
MOST_THROTTLED_SHARE = 0.5


def time_interleaved(runners, runs, warmup, seconds):
    """Samples in ms of runners that take turns; turns in which the board throttled are discarded and counted.

    A runner has `once()`, `timed()` (ms), `clock` (what it reads) and `warmup_s`.
    """
    samples, discarded = {name: [] for name in runners}, 0
    begin_s = time.perf_counter()
    for runner in runners.values():
        warm_up(runner, warmup)
    turns = max(FEWEST_TURNS, -(-runs // BURST))
    for turn in range(turns):
        if seconds is not None and turn >= FEWEST_TURNS and time.perf_counter() - begin_s > seconds:
            turns = turn
            break
        names = list(runners) if turn % 2 else list(reversed(list(runners)))
        before = throttling()
        found = {name: burst(runners[name]) for name in names}
        after = throttling()
        if before != after or after[0]:
            discarded += 1
            continue
        for name in names:
            samples[name] += found[name]
    if discarded > MOST_THROTTLED_SHARE * turns:
        text = "the board throttled in {} of {} turns ({})".format(
            discarded, turns, ", ".join(after[0]) or "heat or supply"
        )
        raise Refused("throttled", text, "cool it, check its supply, or choose a lower power mode")
    clock = next(iter(runners.values())).clock
    return {"samples_ms": samples, "discarded": discarded * BURST, "clock": clock}


def warm_up(runner, runs):
    """Runs a network untimed, at least `runs` times."""
    begin_s = time.perf_counter()
    done = 0
    while done < runs or time.perf_counter() - begin_s < runner.warmup_s:
        runner.once()
        done += 1


def burst(runner):
    """Some timed runs in a row, in ms."""
    runner.once()
    return [round(runner.timed(), 6) for _ in range(BURST)]

"""A network's first run."""

import contextlib
import re
import time

from hwt_files import read_text


def first_run(load, inputs):
    """Loading a network, its first inference, and the most memory meanwhile.

    `load` gives a runner. What a network needs besides, the runtime and an engine, is there already.
    """
    forget_peak()
    before, begin_s = resident_bytes("VmRSS"), time.monotonic()
    runner = load()
    loaded_s = time.monotonic()
    runner.feed(inputs)
    runner.once()
    first_s, peak = time.monotonic(), resident_bytes("VmHWM")
    return {
        "load_ms": 1e3 * (loaded_s - begin_s),
        "first_ms": 1e3 * (first_s - loaded_s),
        "peak_bytes": peak,
        "runtime_bytes": before,
    }


def resident_bytes(field):
    """A size of this process: "VmRSS" now, "VmHWM" at most; None where the system does not tell."""
    found = re.search(field + r":\s+(\d+) kB", read_text("/proc/self/status", root="/") or "")
    return int(found[1]) * 1024 if found else None


def forget_peak():
    """Begins a new "VmHWM"; where that is not allowed, the peak is that of all networks so far."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")

"""Whether a device is fit to be measured on now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from hwtickets.devices.finding import Check
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.runtimes import lacking, runtime_version

_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_MEMINFO = Path("/proc/meminfo")
_SLOW_CLOCK_S = 1e-6
_MEMORY_NEEDED_MB = 500


def check_device(profile: DeviceProfile) -> list[Check]:
    """Looks at what measurements on a device depend on; a fact that the system hides is left out.

    Raises:
        DeviceError: It cannot be reached.
    """
    if profile.connection == "none":
        advice = "add your board: hwtickets devices add NAME --ssh user@host"
        return [Check("connection", False, "only known from a table: its latencies are predicted", advice)]
    if profile.connection == "ssh":
        from hwtickets.devices.ssh.check import check_board

        return check_board(profile)
    looks: list[Callable[[DeviceProfile], Check | None]] = [_runtime, _clock, _governor, _load, _memory]
    return [check for check in (look(profile) for look in looks) if check is not None]


def _runtime(profile: DeviceProfile) -> Check:
    lack = lacking(profile.runtime)
    if lack is not None:
        return Check("runtime", False, *lack)
    return Check("runtime", True, f"{profile.runtime} {runtime_version(profile.runtime)} is there")


def _clock(profile: DeviceProfile) -> Check:
    begin_s = time.perf_counter()
    for _ in range(1000):
        time.thread_time_ns()
    cost_s = (time.perf_counter() - begin_s) / 1000
    source = _read(_CLOCK_SOURCE) or "unknown source"
    detail = f"{source}, thread time costs {cost_s * 1e9:.0f} ns a reading"
    ok = cost_s < _SLOW_CLOCK_S
    return Check(
        "clock", ok, detail, "" if ok else "readings are slow: networks below 0.1 ms will look slower"
    )


def _governor(profile: DeviceProfile) -> Check | None:
    governor = _read(_GOVERNOR)
    if governor is None:
        return None
    ok = governor == "performance"
    return Check(
        "governor",
        ok,
        governor,
        "" if ok else "sudo cpupower frequency-set -g performance, for steady clocks",
    )


def _load(profile: DeviceProfile) -> Check:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    ok = load <= cores
    advice = (
        "" if ok else "other programs are running: close them for wall-clock figures (thread time bears them)"
    )
    return Check("load", ok, f"{load:.1f} on {cores} cores", advice)


def _memory(profile: DeviceProfile) -> Check | None:
    lines = (_read(_MEMINFO) or "").splitlines()
    available = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    if not available:
        return None
    free_mb = int(available[0]) / 1000
    ok = free_mb >= _MEMORY_NEEDED_MB
    advice = "" if ok else f"free at least {_MEMORY_NEEDED_MB} MB, or measurements will include swapping"
    return Check("memory", ok, f"{free_mb:.0f} MB free", advice)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None

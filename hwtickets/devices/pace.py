"""How fast this machine is allowed to run right now: its clocks, and what slows it down."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hwtickets.devices.ssh.facts import clocks_mhz
from hwtickets.power.visible import nvml_handle

_CLOCKS = (
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_*_freq",
    # The present one, the least and the most; not the one that is aimed at.
    "sys/class/devfreq/*/[cm]*_freq",
)
#: Of heat, and of the supply of a Jetson Orin or Thor (low voltage, too much current).
_COUNTERS = (
    "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count",
    "sys/class/hwmon/hwmon*/oc[0-9]_event_cnt",
)
_COOLING = "sys/class/thermal/cooling_device*/type"
_SLOWING = ("throttle", "alert")
_POWER_CAP = "GPU power cap"
#: Bits of NVML's "clocks event reasons" that mean less speed than asked for.
_GPU_REASONS = {
    0x4: _POWER_CAP,
    0x8: "GPU hardware slowdown",
    0x20: "GPU software thermal slowdown",
    0x40: "GPU hardware thermal slowdown",
    0x80: "GPU power brake",
}


@dataclass(frozen=True)
class Pace:
    """A moment.

    Attributes:
        clocks_mhz: By unit ("cpu", "cpu most", "gpu", ...); empty where the system does not tell.
        throttle_events: How often it throttled since it was started; None where nothing counts.
        slowed_by: What slows the machine down at this moment.
    """

    clocks_mhz: Mapping[str, int]
    throttle_events: int | None
    slowed_by: tuple[str, ...]


def pace_now(gpu: bool = False, root: Path = Path("/")) -> Pace:
    """The clocks of this machine and what slows it down.

    Args:
        gpu: Whether its NVIDIA GPU is asked too.
        root: Where /sys is looked for.
    """
    texts = {f"/{path.relative_to(root)}": _text(path) for pattern in _CLOCKS for path in root.glob(pattern)}
    clocks, reasons = _of_gpu() if gpu else ({}, ())
    return Pace({**clocks_mhz(texts), **clocks}, _events(_counters(root)), (*_cooling(root), *reasons))


def slowing_watch(gpu: bool = False, root: Path = Path("/")) -> Callable[[], str] | None:
    """Tells at every call what slowed this machine down since the call before; None where nothing tells.

    A GPU's power cap does not count: it is how the GPU is set up, and networks run under it as well.

    Args:
        gpu: Whether its NVIDIA GPU is asked too.
        root: Where /sys is looked for.
    """
    counters = _counters(root)
    asks_gpu = gpu and bool(_of_gpu()[0])
    if not counters and not asks_gpu:
        return None
    before = _events(counters)

    def slowed_by() -> str:
        nonlocal before
        last, before = before, _events(counters)
        reasons = [*_cooling(root), *(_of_gpu()[1] if asks_gpu else ())]
        events = (before or 0) - (last or 0)
        reasons += [f"{events} events of throttling"] if events else []
        return ", ".join(reason for reason in reasons if reason != _POWER_CAP)

    return slowed_by


def throttled_between(before: Pace, after: Pace) -> str | None:
    """What slowed the machine down between two moments; "" if nothing did, None if nothing tells."""
    reasons = list(dict.fromkeys((*before.slowed_by, *after.slowed_by)))
    counts = (before.throttle_events, after.throttle_events)
    events = None if None in counts else (counts[1] or 0) - (counts[0] or 0)
    reasons += [f"{events} events of throttling"] if events else []
    # NVML names its reasons, and tells when there are none; elsewhere only a counter does.
    known = events is not None or "gpu" in after.clocks_mhz
    return ", ".join(reasons) if reasons or known else None


def _counters(root: Path) -> list[Path]:
    return [path for pattern in _COUNTERS for path in root.glob(pattern)]


def _events(counters: Iterable[Path]) -> int | None:
    """How often it throttled, in all; None where nothing counts."""
    counts = [int(text) for text in map(_text, counters) if text.isdigit()]
    return sum(counts) if counts else None


def _cooling(root: Path) -> tuple[str, ...]:
    """What slows the machine down at this moment."""
    return tuple(
        _text(path)
        for path in sorted(root.glob(_COOLING))
        if any(word in _text(path) for word in _SLOWING)
        and _text(path.with_name("cur_state")) not in ("", "0")
    )


def _of_gpu() -> tuple[dict[str, int], tuple[str, ...]]:
    """Clocks of the first GPU and what slows it down; nothing where NVML does not answer."""
    try:
        pynvml = importlib.import_module("pynvml")
    except ImportError:
        return {}, ()
    try:
        pynvml.nvmlInit()
        handle = nvml_handle(pynvml)
        clocks = {
            "gpu": int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
            "gpu memory": int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
        }
        # The older name is deprecated, the newer one is not there yet.
        asked = getattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", None) or getattr(
            pynvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None
        )
        bits = int(asked(handle)) if asked else 0
    except pynvml.NVMLError:
        return {}, ()
    return clocks, tuple(name for bit, name in _GPU_REASONS.items() if bits & bit)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

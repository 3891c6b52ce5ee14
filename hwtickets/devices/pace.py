"""How fast this machine is allowed to run right now: its clocks, and what slows it down."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwtickets.devices.ssh.facts import clocks_mhz

_CLOCKS = (
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_*_freq",
    "sys/class/devfreq/*/*_freq",
)
_COUNTERS = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"
_COOLING = "sys/class/thermal/cooling_device*/type"
_SLOWING = ("throttle", "alert")
#: Bits of NVML's "clocks event reasons" that mean less speed than asked for.
_GPU_REASONS = {
    0x4: "GPU power cap",
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
        throttle_events: How often the processor throttled since it was started; None where nothing counts.
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
    counters = [_text(path) for path in sorted(root.glob(_COUNTERS))]
    counts = [int(text) for text in counters if text.isdigit()]
    cooling = [
        _text(path)
        for path in sorted(root.glob(_COOLING))
        if any(word in _text(path) for word in _SLOWING)
        and _text(path.with_name("cur_state")) not in ("", "0")
    ]
    clocks, reasons = _of_gpu() if gpu else ({}, ())
    return Pace({**clocks_mhz(texts), **clocks}, sum(counts) if counts else None, (*cooling, *reasons))


def throttled_between(before: Pace, after: Pace) -> str | None:
    """What slowed the machine down between two moments; "" if nothing did, None if nothing tells."""
    reasons = list(dict.fromkeys((*before.slowed_by, *after.slowed_by)))
    counts = (before.throttle_events, after.throttle_events)
    events = None if None in counts else (counts[1] or 0) - (counts[0] or 0)
    reasons += [f"{events} events of thermal throttling"] if events else []
    # NVML names its reasons, and tells when there are none; elsewhere only a counter does.
    known = events is not None or "gpu" in after.clocks_mhz
    return ", ".join(reasons) if reasons or known else None


def _of_gpu() -> tuple[dict[str, int], tuple[str, ...]]:
    """Clocks of the first GPU and what slows it down; nothing where NVML does not answer."""
    try:
        pynvml = importlib.import_module("pynvml")
    except ImportError:
        return {}, ()
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
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

"""Facts about this machine's processor, read from the system."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction set extensions, as the kernel names them ("avx2", "asimd"); empty where unknown."""
    fields = _cpuinfo()
    return frozenset(fields.get("flags", fields.get("Features", "")).split())


@functools.cache
def cpu_model() -> str:
    """Name of the processor, e.g. "AMD EPYC 9654"; the machine type where the system does not tell."""
    fields = _cpuinfo()
    return fields.get("model name", fields.get("Model", platform.processor() or platform.machine()))


def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor; later ones repeat them."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}

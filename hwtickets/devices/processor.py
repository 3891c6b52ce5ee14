"""Facts about this machine's processor, read from the system."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction set extensions, as the kernel names them ("avx2", "asimd"); empty where unknown."""
    return flags_in(_cpuinfo())


@functools.cache
def cpu_model() -> str:
    """Name of the processor, e.g. "AMD EPYC 9654"; the machine type where the system does not tell."""
    return model_in(_cpuinfo()) or platform.processor() or platform.machine()


def flags_in(cpuinfo: str) -> frozenset[str]:
    """Instruction set extensions in the text of /proc/cpuinfo."""
    fields = _fields(cpuinfo)
    return frozenset(fields.get("flags", fields.get("Features", "")).split())


def model_in(cpuinfo: str) -> str | None:
    """Name of the processor in the text of /proc/cpuinfo, or None."""
    fields = _fields(cpuinfo)
    return fields.get("model name", fields.get("Model"))


def _cpuinfo() -> str:
    try:
        return _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _fields(cpuinfo: str) -> dict[str, str]:
    """The fields of the first processor; later ones repeat them."""
    pairs = (line.split(":", 1) for line in reversed(cpuinfo.splitlines()) if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}

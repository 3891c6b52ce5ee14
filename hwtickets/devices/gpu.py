"""Facts about this machine's NVIDIA GPU, read from the system without its driver's libraries."""

from __future__ import annotations

import re
from pathlib import Path

from hwtickets.power.visible import first_visible

_DRIVER = Path("/proc/driver/nvidia")


def gpu_model(driver: Path = _DRIVER) -> str | None:
    """Name of the GPU that CUDA calls its first, e.g. "NVIDIA H200"; None where there is none.

    Args:
        driver: Folder in which the driver describes itself.
    """
    texts = map(_read, sorted(driver.glob("gpus/*/information")))
    for text in (text for place, text in enumerate(texts) if _is_first(place, text)):
        found = re.search(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE)
        if found:
            return found[1]
    return None


def driver_version(driver: Path = _DRIVER) -> str | None:
    """Version of the driver, e.g. "570.86.15"; None where there is none."""
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", _read(driver / "version"))
    return found[1] if found else None


def _is_first(place: int, text: str) -> bool:
    """Whether CUDA calls a GPU its first, by its place among all and by what the driver says of it."""
    first = first_visible()
    if first.isdigit():
        return place == int(first)
    # The driver's files do not tell which GPU a part (MIG) belongs to.
    return first.startswith("MIG-") or any(word.startswith(first) for word in text.split())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

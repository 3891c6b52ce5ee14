"""Which GPU networks run on, where a machine has several. Standard library only."""

from __future__ import annotations

import os
from typing import Any


def first_visible() -> str:
    """The GPU that CUDA calls its first: a place in the order of the buses, or a UUID.

    CUDA counts those that CUDA_VISIBLE_DEVICES names, NVML and the driver's files count all (CUDA C++
    programming guide, environment variables). Without CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA puts the fastest
    first, which the buses need not.
    """
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip() or "0"


def nvml_handle(library: Any) -> Any:
    """NVML's handle of that GPU.

    Args:
        library: The module `pynvml` of nvidia-ml-py, initialised.

    Raises:
        NVMLError: There is no such GPU.
    """
    first = first_visible()
    if first.isdigit():
        return library.nvmlDeviceGetHandleByIndex(int(first))
    return library.nvmlDeviceGetHandleByUUID(first)

"""Numbers below 1e-38 while a network runs: zero, for some processors are slow with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Has this thread count them as zero, and afterwards as before: the process is the user's.

    ONNX Runtime's own option tells the calling thread only in a process's first session, and for good.
    """
    import torch

    before = bool(np.float32(1e-30) * np.float32(1e-9) == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)

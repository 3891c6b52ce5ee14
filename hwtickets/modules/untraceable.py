"""Why a module cannot be traced, and where in its author's code that is."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from hwtickets.errors import HwticketsError

#: What torch says where a run without data would need some.
_VALUES = (
    *("item", "data-dependent", "_local_scalar_dense", "bool", "nonzero"),
    *("meta tensor", "meta device", "device meta"),
)
_NOT_THEIRS = (Path(torch.__file__).parent, Path(__file__).parents[1])


def untraceable(error: Exception, where: str, shape: Sequence[int]) -> HwticketsError:
    """The failure of a run without data, in one line.

    Args:
        error: What the module's forward raised.
        where: The part of the module that ran.
        shape: Of the input.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    said = f"{line.partition('. ')[0].rstrip('.')}{_place(error)}"
    values = isinstance(error, RuntimeError | NotImplementedError | TypeError)
    if values and any(sign in line for sign in _VALUES):
        return HwticketsError(
            f"module {where}: its forward depends on the values of tensors (dynamic control flow) or moves"
            f" them between devices, so its channels cannot be followed ({said})"
        )
    return HwticketsError(f"module {where}: cannot be traced on an input of {tuple(shape)} ({said})")


def _place(error: Exception) -> str:
    """File and line of the last call that is neither torch's nor ours."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and not any(Path(frame.filename).is_relative_to(folder) for folder in _NOT_THEIRS)
    ]
    return f"; {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""

"""Failures of the machine while training: each is one line, and the last checkpoint stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hwtickets.errors import HwticketsError

_NO_MEMORY = ("not enough memory", "out of memory", "can't allocate memory")
#: What helps where batches are computed in parts, as in training, and where they are not.
SMALLER_PARTS, SMALLER_BATCHES = "raise accumulate or lower batch_size", "lower batch_size"
#: What gloo, NCCL and the store say of a process that has ended or is not heard of.
_LOST = ("gloo", "nccl", "connection", "peer", "timed out", "timeout", "socket", "broken pipe")


class ProcessLostError(HwticketsError):
    """Another process of this training has ended, or has not answered for too long."""

    def __init__(self) -> None:
        super().__init__(
            "training: another process of this training has ended or does not answer; see what it said last,"
            " then go on with --resume (the last checkpoint is kept)"
        )


@contextmanager
def one_line(when: str, where: object, advice: str = SMALLER_PARTS) -> Iterator[None]:
    """Turns the failures of a training's computations into one line each.

    Args:
        when: What is computed, as it is named to the user: "at step 3".
        where: The device, as it is named to the user.
        advice: What needs less memory there.

    Raises:
        HwticketsError: Memory ran out.
        ProcessLostError: Another process is gone.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(when, where, advice) from error
    except RuntimeError as error:
        if _says(error, _NO_MEMORY):
            raise _out_of_memory(when, where, advice) from error
        if torch.distributed.is_initialized() and _is_loss(error):
            raise ProcessLostError from error
        raise


@contextmanager
def exchange() -> Iterator[None]:
    """Turns a message that did not get through into one line.

    Raises:
        ProcessLostError: Another process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if _is_loss(error):
            raise ProcessLostError from error
        raise


def _is_loss(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or _says(error, _LOST)


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    return any(text in str(error).lower() for text in texts)


def _out_of_memory(when: str, where: object, advice: str) -> HwticketsError:
    return HwticketsError(
        f"training: out of memory on {where} {when}; {advice} (the last checkpoint is kept)"
    )

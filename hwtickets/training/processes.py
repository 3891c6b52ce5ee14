"""The processes of one training, as torchrun starts them, and what the first one tells the others.

The first process does everything that a single one does. The others lend it their devices: each computes the
gradients of its part of every batch. So one process alone writes files, measures, draws and decides, and
nothing but numbers and JSON passes between them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from hwtickets.training.failures import ProcessLostError, exchange
from hwtickets.training.torchrun import several

#: How long an exchange of gradients may take, and how long the first process may be busy with something else.
STEP_TIMEOUT, IDLE_TIMEOUT = timedelta(minutes=10), timedelta(days=7)


class Processes:
    """This process among the others; made by `join`.

    Attributes:
        rank: Number of this process; 0 leads.
        size: How many there are, on all nodes.
        local_size: How many there are on this node.
        training: Whether the others are in the middle of a training; the first process keeps book of it.
    """

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_size = int(os.environ["LOCAL_WORLD_SIZE"])
        self.training = False
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with exchange():
            torch.distributed.init_process_group(backend, timeout=STEP_TIMEOUT)
            self._orders = torch.distributed.new_group(backend="gloo", timeout=IDLE_TIMEOUT)

    @property
    def leads(self) -> bool:
        """Whether this is the process that the others help."""
        return self.rank == 0

    def send(self, message: object, tensors: Sequence[Tensor] = ()) -> None:
        """Tells all others something: JSON, and tensors of any shape. They call `receive`."""
        layout = [[list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for tensor in tensors]
        text = bytearray(json.dumps({"message": message, "tensors": layout}).encode())
        self._pass_on(torch.tensor([len(text)]))
        self._pass_on(torch.frombuffer(text, dtype=torch.uint8))
        for tensor in tensors:
            self._pass_on(tensor.detach().cpu().contiguous())

    def receive(self) -> tuple[Any, list[Tensor]]:
        """What the first process sends next."""
        size = self._pass_on(torch.zeros(1, dtype=torch.int64))
        text = self._pass_on(torch.empty(int(size), dtype=torch.uint8))
        packet = json.loads(text.numpy().tobytes())
        tensors = [
            self._pass_on(torch.empty(shape, dtype=getattr(torch, kind))) for shape, kind in packet["tensors"]
        ]
        return packet["message"], tensors

    def exchange_order(self, numbers: Sequence[float]) -> list[float]:
        """A few numbers of the first process, given back by all; the others give as many, of any value."""
        return self._pass_on(torch.tensor(numbers, dtype=torch.float64)).tolist()

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Gives all others the first process' values of tensors of one kind, in place and in one message."""
        if not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        with exchange():
            torch.distributed.broadcast(flat, 0)
        if self.leads:
            return
        with torch.no_grad():
            for tensor, values in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(values.view(tensor.shape))

    def mean(self, tensor: Tensor) -> Tensor:
        """The average over all processes."""
        total = tensor.clone()
        with exchange():
            torch.distributed.all_reduce(total)
        return total / self.size

    def _pass_on(self, tensor: Tensor) -> Tensor:
        with exchange():
            torch.distributed.broadcast(tensor, 0, group=self._orders)
        return tensor


@cache
def join() -> Processes | None:
    """Meets the other processes, once; None where this one is alone.

    Raises:
        ProcessLostError: They are not to be found.
    """
    return Processes() if several() else None


def dismiss() -> None:
    """Lets the other processes end, for the first one at its end; they are told only if they can listen.

    A training that was broken off leaves them in the middle of a step; they end when this process does.
    """
    processes = join()
    if processes is not None and not processes.training:
        # Whoever has ended already needs no telling.
        with contextlib.suppress(ProcessLostError):
            processes.send(None)
        torch.distributed.destroy_process_group()

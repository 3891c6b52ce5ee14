"""A process that helps another one train: it computes gradients of its part of every batch, no more."""

from __future__ import annotations

import sys
from typing import Any

import torch.distributed
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.space.slicing import resize
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.batchnorm import training_mode
from hwtickets.training.compute import Compute
from hwtickets.training.crew import CUT, END
from hwtickets.training.failures import one_line
from hwtickets.training.feed import seed_step
from hwtickets.training.gradients import Gradients
from hwtickets.training.packets import unpack_lessons, unpack_network
from hwtickets.training.processes import Processes, join


def serve() -> int:
    """Helps until there is no more work.

    Returns:
        The exit code of this process: 0, or another after one line about what went wrong.
    """
    try:
        processes = join()
        assert processes is not None and not processes.leads
        while True:
            job, tensors = processes.receive()
            if job is None:
                torch.distributed.destroy_process_group()
                return 0
            _Work(processes, job, tensors).run()
    except HwticketsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


class _Work:
    """One training, as the first process described it in `Crew`."""

    def __init__(self, processes: Processes, job: dict[str, Any], tensors: list[Tensor]) -> None:
        self._processes, self._seed = processes, job["seed"]
        self._accelerator = Accelerator(Compute(**job["compute"]))
        model, self._units = unpack_network(job["network"], tensors)
        for name in job["frozen"]:
            model.get_parameter(name).requires_grad_(False)
        self._model = model.to(self._accelerator.device)
        self._lessons = unpack_lessons(job["lessons"], tensors)

    def run(self) -> None:
        """Computes steps as they are ordered."""
        training_mode(self._model)
        with Gradients(self._model, self._lessons, self._accelerator) as gradients:
            while True:
                kind, step, scale = self._processes.exchange_order([0, 0, 0])
                if kind == END:
                    return
                self._follow(cut=kind == CUT, scale=scale)
                seed_step(self._seed, int(step), self._accelerator.rank)
                with one_line(f"at step {int(step)}", self._accelerator.device):
                    gradients.compute(int(step))

    def _follow(self, cut: bool, scale: float) -> None:
        """Takes over what the first process made of the network, and the scale of its fp16."""
        if cut:
            widths, _ = self._processes.receive()
            resize(self._model, self._units, widths)
            training_mode(self._model)
            self._accelerator.unwrap()
        for parameter in self._model.parameters():
            parameter.grad = None
        self._processes.share(list(self._model.parameters()))
        state = self._accelerator.state()
        if state:
            self._accelerator.restore({**state, "scale": scale})

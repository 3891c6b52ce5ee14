"""Where training runs: device, precision and processes, by lightning-fabric. Nothing else knows them."""

from __future__ import annotations

import gc
import inspect
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.training.compute import Compute
from hwtickets.training.layout import lay_channels_last
from hwtickets.training.processes import Processes, join
from hwtickets.training.shared_norm import Sharing, share_statistics, unshare_statistics

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Accelerator:
    """The device of this process, and how it computes together with the other processes of a training.

    Args:
        compute: What is asked for.

    Attributes:
        processes: The processes of this training; None where there is one.

    Raises:
        UsageError: There is no such device, or there are fewer GPUs than processes.
        ProcessLostError: The other processes are not to be found.
    """

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.processes = join()
        self._fabric = _fabric(compute, self.processes)
        self._sharing = Sharing()
        self._network: nn.Module | None = None
        self._wrapped: list[nn.Parameter] = []

    @property
    def device(self) -> torch.device:
        """Where networks and batches belong."""
        return self._fabric.device

    @property
    def rank(self) -> int:
        """Number of this process."""
        return self.processes.rank if self.processes else 0

    @property
    def parts(self) -> int:
        """Parts of every batch: of all processes together, one after the other."""
        return self.compute.accumulate * (self.processes.size if self.processes else 1)

    def part(self, pass_number: int) -> int:
        """Which part of a batch this process computes in one of its `accumulate` passes."""
        return pass_number * (self.processes.size if self.processes else 1) + self.rank

    def network(self, model: nn.Module) -> nn.Module:
        """What is called in place of the model: autocast, and with gradients averaged over the processes.

        A model whose parameters were replaced since the last call is wrapped anew.
        """
        if self._network is None or self.was_cut(model):
            self._wrap(model)
        assert self._network is not None
        return self._network

    def unwrap(self) -> None:
        """Has the model wrapped anew for its next step."""
        self._network = None

    def release(self, model: nn.Module) -> None:
        """Makes the model what it was before: nothing of this training stays in it."""
        self._network, self._wrapped = None, []
        unshare_statistics(model)

    @contextmanager
    def together(self) -> Iterator[None]:
        """While all processes compute a step: batch norms share their statistics, if that is asked for."""
        self._sharing.active = True
        try:
            yield
        finally:
            self._sharing.active = False

    def unsynced(self, last: bool) -> AbstractContextManager[Any]:
        """Holds the averaging of gradients back until the last pass of a step."""
        if self.processes is None or last:
            return nullcontext()
        return self._fabric.no_backward_sync(self._network)  # type: ignore[arg-type]

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, scaled where the precision asks for it."""
        self._fabric.backward(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> bool:
        """Takes the scale of fp16 off the gradients; whether they are finite, so that the step counts."""
        precision = self._fabric.strategy.precision
        if not self.state():
            return True
        precision.unscale_gradients(optimizer)
        groups = optimizer.param_groups
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        return bool(torch.nn.utils.get_total_norm(gradients).isfinite())

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Updates the weights; with fp16 only where the gradients are finite, else the scale is halved."""
        self._fabric.strategy.optimizer_step(optimizer)

    def mean(self, value: Tensor) -> float:
        """The average of a number over the processes."""
        return float(self.processes.mean(value) if self.processes else value)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the scale of fp16; else nothing."""
        return self._fabric.strategy.precision.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        if state and self.state():
            self._fabric.strategy.precision.load_state_dict(state)

    def was_cut(self, model: nn.Module) -> bool:
        """Whether parameters of the model were replaced since it was wrapped, which only DDP minds."""
        if self.processes is None or self._network is None:
            return False
        present = list(model.parameters())
        return len(present) != len(self._wrapped) or any(
            new is not old for new, old in zip(present, self._wrapped, strict=True)
        )

    def _wrap(self, model: nn.Module) -> None:
        self._network = None
        if self.processes:
            # The old wrapper's hooks on parameters that stayed go with it, and would else average them twice.
            gc.collect()
            lay_channels_last(model)
        if self.processes and self.compute.sync_batchnorm:
            share_statistics(model, self._sharing)
        self._network = self._fabric.setup_module(model, move_to_device=False)
        self._wrapped = list(model.parameters())


def _fabric(compute: Compute, processes: Processes | None) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    # Its remarks about devices are not for our users; importing it sets the level.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = _device(compute.accelerator, processes)
    mixed = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
    plugins: list[Any] = [TorchElasticEnvironment() if processes else LightningEnvironment()]
    if compute.precision in mixed:
        plugins.append(MixedPrecision(mixed[compute.precision], device))  # type: ignore[arg-type]
    if processes is None:
        return Fabric(accelerator=device, devices=1, plugins=plugins)
    fabric = Fabric(
        accelerator=device,
        strategy=DDPStrategy(**_own_buffers()),
        devices=processes.local_size,
        num_nodes=processes.size // processes.local_size,
        plugins=plugins,
    )
    fabric.launch()
    return fabric


def _own_buffers() -> dict[str, Any]:
    """What tells DDP to send no buffers before forward passes; newer versions of torch have a new name."""
    known = inspect.signature(torch.nn.parallel.DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}


def _device(wanted: str, processes: Processes | None) -> str:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    needed = processes.local_size if processes else 1
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        return "cpu"
    if gpus < needed:
        raise UsageError(
            f"accelerator {wanted}: there are {gpus} CUDA GPUs for {needed} processes;"
            " start fewer processes or take accelerator: cpu"
        )
    return "cuda"

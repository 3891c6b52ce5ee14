"""Batch norms that share their statistics between processes, on any device.

With them, a batch shared out over processes is normalised, and learnt from, as one process would: the same
run for any number of processes. The paper's training does not share them; `sync_batchnorm: false` is that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed
from torch import Tensor, nn


@dataclass
class Sharing:
    """Whether all processes compute a step together just now; else a forward pass is one process' own."""

    active: bool = False


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm over the parts of all processes; they must be equally large.

    Source: Zhang et al., Context Encoding for Semantic Segmentation (CVPR 2018), section 3.3. torch's own
    SyncBatchNorm is for GPUs only, and is no `BatchNorm2d`, which is what networks are searched by.
    """

    sharing: Sharing

    def forward(self, x: Tensor) -> Tensor:
        """Normalises by the statistics of the whole batch where it is shared, else as a batch norm does."""
        if not (self.training and self.sharing.active):
            return super().forward(x)
        values = x.to(self.weight.dtype)
        count = values.numel() // values.shape[1] * torch.distributed.get_world_size()
        # Variances of the parts, not mean squares: those of a norm whose mean is large would cancel out.
        means, variances = _Gathered.apply(torch.cat(_moments(values))).chunk(2, 1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._remember(mean.detach(), variance.detach() * count / max(1, count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        centred = values - mean[:, None, None]
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
    return mean, variance


class _Gathered(torch.autograd.Function):
    """The values of all processes, one row each."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        rows = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(rows, values)
        return torch.stack(rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total[torch.distributed.get_rank()]


def share_statistics(model: nn.Module, sharing: Sharing) -> None:
    """Makes the batch norms of a network shared ones, in place; they stay batch norms for everyone else."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
            cast(SharedBatchNorm2d, module).sharing = sharing


def unshare_statistics(model: nn.Module) -> None:
    """Undoes `share_statistics`."""
    for module in model.modules():
        if isinstance(module, SharedBatchNorm2d):
            del module.sharing
            module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]

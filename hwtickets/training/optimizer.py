"""Optimizer and learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, then half a cosine down to zero.

    Attributes:
        peak: Highest rate.
        steps: Step at which the rate is zero.
        first_step: Step at which the warm-up begins.
        warmup_share: Share of the steps spent warming up.
    """

    peak: float
    steps: int
    first_step: int = 0
    warmup_share: float = 0.15

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        done, total = step - self.first_step, self.steps - self.first_step
        warmup = self.warmup_share * total
        if done < warmup:
            return self.peak * (done + 1) / (warmup + 1)
        progress = (done - warmup) / max(1.0, total - warmup)
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def build_optimizer(model: nn.Module, weight_decay: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum 0.9; norms and biases are not decayed.

    Args:
        model: The network.
        weight_decay: L2 factor of the weights.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)


def momentum_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's momentum by parameter name."""
    named = {name: optimizer.state.get(parameter, {}) for name, parameter in model.named_parameters()}
    return {name: state["momentum_buffer"] for name, state in named.items() if "momentum_buffer" in state}


def restore_momentum(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    """Takes back what `momentum_tensors` gave."""
    for name, parameter in model.named_parameters():
        if name in tensors:
            optimizer.state[parameter]["momentum_buffer"] = tensors[name]

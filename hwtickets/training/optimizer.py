"""Optimizers by name, and their state by parameter name: what checkpoints keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hwtickets.errors import unknown
from hwtickets.training.rmsprop import RMSprop

Groups = list[dict[str, Any]]
Optimizer = torch.optim.Optimizer


def _sgd(model: nn.Module, decay: float, eps: float | None) -> Optimizer:
    """SGD with Nesterov momentum 0.9; the decay is an L2 term, of weights alone."""
    groups = _groups(model, decay, {name for name, weight in model.named_parameters() if weight.dim() > 1})
    return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)


def _rmsprop(model: nn.Module, decay: float, eps: float | None) -> Optimizer:
    """See `RMSprop`; the decay is an L2 term. Source: SuperTickets (ECCV 2022), ImageNet."""
    return RMSprop(_groups(model, decay, _outside_norms(model)), eps=1e-3 if eps is None else eps)


def _adam(model: nn.Module, decay: float, eps: float | None) -> Optimizer:
    """Adam whose decay is an L2 term, scaled as all gradients are.

    Source: SuperTickets (ECCV 2022): what its code does on Cityscapes, ADE20K (eps 1e-3) and COCO (eps 1e-8),
    where an AdamW without decay of its own gets the L2 term in the loss.
    """
    groups = _groups(model, decay, _outside_norms(model))
    return torch.optim.Adam(groups, lr=0.0, eps=1e-8 if eps is None else eps)


def _adamw(model: nn.Module, decay: float, eps: float | None) -> Optimizer:
    """Adam with decoupled decay.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).
    """
    groups = _groups(model, decay, _outside_norms(model))
    return torch.optim.AdamW(groups, lr=0.0, eps=1e-8 if eps is None else eps)


OPTIMIZERS: dict[str, Callable[[nn.Module, float, float | None], Optimizer]] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
}


def build_optimizer(
    model: nn.Module, weight_decay: float, name: str = "sgd", eps: float | None = None
) -> Optimizer:
    """An optimizer by name; its rate is set at every step.

    Args:
        model: The network; frozen parameters are left out by their missing gradients.
        weight_decay: Decay factor: of the weights for "sgd"; for the others of all that is not a norm's,
            which adds the classifier's bias. Source: SuperTickets (ECCV 2022), the L2 term of its code.
        name: One of `OPTIMIZERS`.
        eps: Added under the gradients' mean size; None for the optimizer's own, "sgd" has none.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name](model, weight_decay, eps)


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Sets the momentum of a group of parameters: beta1 where an optimizer calls it so."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as "PARAMETER/KEY": momentum, mean squares, step counters, whatever it keeps."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Takes back what `optimizer_tensors` gave, for parameters of the same names and shapes."""
    parameters = dict(model.named_parameters())
    for path, tensor in tensors.items():
        name, _, key = path.rpartition("/")
        optimizer.state[parameters[name]][key] = _placed(tensor, parameters[name])


def _placed(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Beside its parameter, in its layout; step counters stay on the CPU, where torch's optimizers count."""
    if tensor.shape != parameter.shape:
        return tensor.cpu()
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def _groups(model: nn.Module, decay: float, decayed: set[str]) -> Groups:
    named = list(model.named_parameters())
    return [
        {"params": [weight for name, weight in named if name in decayed], "weight_decay": decay},
        {"params": [weight for name, weight in named if name not in decayed], "weight_decay": 0.0},
    ]


def _outside_norms(model: nn.Module) -> set[str]:
    norms = [
        name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
    ]
    of_norms = {f"{norm}.{part}" for norm in norms for part in ("weight", "bias")}
    return {name for name, _ in model.named_parameters()} - of_norms

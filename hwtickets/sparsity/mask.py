"""Unstructured masks: which single weights are kept. They buy size; on dense runtimes they buy no time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Masks = dict[str, Tensor]


def maskable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights of all convolutions by state-dict name; the classifier, norms and biases stay dense.

    Source: SuperTickets (ECCV 2022) masks the convolutions only.
    """
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    }


def magnitude_masks(model: nn.Module, sparsity: float, layer_floor: float) -> Masks:
    """Global magnitude masks with a floor for every layer.

    The published code has no floor and empties whole layers at 90 % (stem 3 %, last convolution 0 % kept).

    Args:
        model: The network.
        sparsity: Share of the maskable weights that is removed, in [0, 1).
        layer_floor: Share of its weights that every layer keeps at least.

    Returns:
        Boolean masks by state-dict name, True where a weight is kept.
    """
    weights = {name: weight.detach().abs() for name, weight in maskable_weights(model).items()}
    every = torch.cat([weight.flatten() for weight in weights.values()])
    removed = int(sparsity * every.numel())
    if removed == 0:
        return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    threshold = every.kthvalue(removed).values
    return {name: _layer_mask(weight, threshold, layer_floor) for name, weight in weights.items()}


def apply_masks(model: nn.Module, masks: Masks) -> None:
    """Sets removed weights to zero, in place."""
    weights = maskable_weights(model)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)


def sparsity_of(model: nn.Module) -> float:
    """Share of zeros among the maskable weights."""
    weights = list(maskable_weights(model).values())
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(1, sum(weight.numel() for weight in weights))


def _layer_mask(weight: Tensor, threshold: Tensor, layer_floor: float) -> Tensor:
    mask = weight > threshold
    least = max(1, round(layer_floor * weight.numel()))
    if int(mask.sum()) >= least:
        return mask
    mask = torch.zeros_like(mask).flatten()
    mask[weight.flatten().topk(least).indices] = True
    return mask.view_as(weight)

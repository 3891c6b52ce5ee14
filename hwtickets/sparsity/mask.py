"""Masks: which single weights are kept. They buy size; on dense runtimes they buy no time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwtickets.sparsity.selection import keep_best
from hwtickets.supernets.base import within
from hwtickets.supernets.tokens import TokenMixer

Masks = dict[str, Tensor]


def maskable_layers(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Convolutions by the state-dict name of their weights.

    The layers that give the outputs, what is to be kept, transformers, norms and biases stay dense.
    Source: SuperTickets (ECCV 2022), the layers that its code masks.
    """
    dense = [*getattr(model, "output_modules", ()), *getattr(model, "unmasked", ())]
    dense += [name for name, module in model.named_modules() if isinstance(module, TokenMixer)]
    return {
        f"{name}.weight": module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and not within(name, dense)
    }


def maskable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights of all maskable layers by state-dict name."""
    return {name: layer.weight for name, layer in maskable_layers(model).items()}


def magnitudes(model: nn.Module) -> dict[str, Tensor]:
    """Absolute maskable weights by state-dict name."""
    return {name: weight.detach().abs() for name, weight in maskable_weights(model).items()}


def magnitude_masks(model: nn.Module, sparsity: float, layer_floor: float) -> Masks:
    """Global magnitude masks of single weights with a floor for every layer.

    Args:
        model: The network.
        sparsity: Share of the maskable weights that is removed, in [0, 1).
        layer_floor: Share of its weights that every layer keeps at least.

    Returns:
        Boolean masks by state-dict name, True where a weight is kept.
    """
    return keep_best(magnitudes(model), sparsity, "global", layer_floor)


def apply_masks(model: nn.Module, masks: Masks) -> None:
    """Sets removed weights to zero, in place; masks may be on another device than the weights."""
    weights = maskable_weights(model)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask.to(weights[name].device), 0)


def empty_filters(masks: Masks) -> Masks:
    """What of the masks stays in force where weights may come back: the filters that have none left.

    The batch norm behind such a filter sees a constant and would multiply the gradient of whatever comes back
    by 1 / sqrt(eps); over the batch norms of a block such factors multiply, and training collapses.

    Args:
        masks: Boolean masks (C_out, C_in / groups, kH, kW) by state-dict name, True where a weight is kept.

    Returns:
        Masks of the layers that have an empty filter, False in the whole of each.
    """
    alive = {name: mask.flatten(1).any(1) for name, mask in masks.items()}
    return {
        name: alive[name].view(-1, *[1] * (mask.dim() - 1)).expand_as(mask).contiguous()
        for name, mask in masks.items()
        if not alive[name].all()
    }


def sparsity_of(model: nn.Module) -> float:
    """Share of zeros among the maskable weights."""
    weights = list(maskable_weights(model).values())
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(1, sum(weight.numel() for weight in weights))

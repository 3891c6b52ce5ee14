"""Weights of one layer by ridge regression: from what comes in, what should come out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Rows that a layer is fitted on, places of some images: for every one of its inputs, and at most.
_ROWS_PER_INPUT, _MOST_ROWS = 64, 8192
#: How much the weights of before count where there is one row an input, in mean squares of an input; with
#: more rows less.
_RIDGE = 0.2
#: The same at least: where all inputs are zero, the weights stay.
_LEAST_RIDGE = 1e-8

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Layer = Convolution | nn.Linear


def can_be_fitted(layer: nn.Module) -> bool:
    """Whether a layer does what `fit_layer` takes it to do, with weights of its own that may change."""
    # A subclass may compute something else, and a weight that is no parameter is made anew at every run.
    fitted = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    if type(layer) not in fitted or not isinstance(layer.weight, nn.Parameter):
        return False
    plain = isinstance(layer, nn.Linear) or layer.padding_mode == "zeros"
    return plain and layer.weight.requires_grad


def outputs_at_rows(layer: nn.Module, outputs: Tensor) -> Tensor:
    """What a layer gives at some places of all images; shape (rows, outputs)."""
    outputs = outputs.movedim(1, -1) if isinstance(layer, Convolution) else outputs
    outputs = outputs.flatten(0, -2)
    wanted = min(_MOST_ROWS, _ROWS_PER_INPUT * layer.get_parameter("weight")[0].numel())
    return outputs[_rows(len(outputs), wanted, outputs.device)]


def fit_layer(layer: Layer, x: Tensor, y: Tensor) -> None:
    """Gives a layer the weights and the bias that make the most of what comes in, in place.

    Where they cannot be found, the layer keeps those that it has.

    Args:
        layer: The layer.
        x: What comes into it, of all images.
        y: What should come out at some places of the same images, as of `outputs_at_rows`.
    """
    x = _inputs_at_rows(layer, x, len(y))
    groups, rows, inputs = x.shape
    y = y.reshape(rows, groups, -1).transpose(0, 1)
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, before = x - mean_x, layer.weight.reshape(groups, -1, inputs).mT
    missing = y - mean_y - x @ before
    pull = _RIDGE / rows * x.square().sum((1, 2), keepdim=True) + _LEAST_RIDGE
    # Of the two forms of the solution the one with fewer unknowns.
    few = inputs <= rows
    squares, right = (x.mT @ x, x.mT @ missing) if few else (x @ x.mT, missing)
    found, failed = torch.linalg.solve_ex(squares + pull * torch.eye(min(inputs, rows)).to(x), right)
    after = before + (found if few else x.mT @ found)
    if bool(failed.any()) or not bool(after.isfinite().all()):
        return
    layer.weight.copy_(after.mT.reshape(layer.weight.shape))
    if layer.bias is not None:
        layer.bias.copy_((mean_y - mean_x @ after).flatten())


def _rows(places: int, wanted: int, device: torch.device) -> Tensor:
    """Which places of all images a layer is fitted at: the same ones before and after the cut."""
    if places <= wanted:
        return torch.arange(places, device=device)
    chosen = torch.randperm(places, generator=torch.Generator().manual_seed(places))[:wanted]
    return chosen.to(device)


def _inputs_at_rows(layer: Layer, x: Tensor, wanted: int) -> Tensor:
    """What the outputs at the rows are made of; shape (groups, rows, inputs of a group)."""
    if isinstance(layer, nn.Linear):
        x = x.flatten(0, -2)
        return x[_rows(len(x), wanted, x.device)][None]
    x = F.pad(x, [zeros for axis in reversed(range(x.dim() - 2)) for zeros in _padding(layer, axis)])
    slides = list(zip(x.shape[2:], layer.kernel_size, layer.stride, layer.dilation, strict=True))
    places = [(size - step * (taps - 1) - 1) // stride + 1 for size, taps, stride, step in slides]
    rows = _rows(len(x) * math.prod(places), wanted, x.device)
    image, *starts = torch.unravel_index(rows, (len(x), *places))
    # For every row its inputs, by where they lie in a channel: one axis after the other.
    at = torch.zeros(len(rows), 1, dtype=torch.int64, device=x.device)
    for start, (size, taps, stride, step) in zip(starts, slides, strict=True):
        along = start[:, None] * stride + torch.arange(0, taps * step, step, device=x.device)
        at = (at[:, :, None] * size + along[:, None]).flatten(1)
    patches = x.flatten(2)[image[:, None], :, at].mT
    return patches.reshape(len(rows), layer.groups, -1).transpose(0, 1)


def _padding(layer: Convolution, axis: int) -> tuple[int, int]:
    """Zeros before and after what comes in, along an axis that the kernel slides on."""
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":
        total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        return total // 2, total - total // 2
    pad = int(layer.padding[axis])
    return pad, pad

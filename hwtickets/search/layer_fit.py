"""Weights of one layer by ridge regression: from what comes in, what should come out."""

from __future__ import annotations

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

Convolution = nn.Conv1d | nn.Conv2d
Layer = Convolution | nn.Linear


def can_be_fitted(layer: nn.Module) -> bool:
    """Whether a layer does what `fit_layer` takes it to do, with weights of its own that may change."""
    # A subclass may compute something else, and a weight that is no parameter is made anew at every run.
    if type(layer) not in (nn.Conv1d, nn.Conv2d, nn.Linear) or not isinstance(layer.weight, nn.Parameter):
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
    # Convolutions along a row slide over an image of one column.
    x = x if x.dim() == 4 else x[..., None]
    of_axes = (layer.kernel_size, layer.stride, layer.dilation)
    kernel, stride, dilation = ((*sides, 1)[:2] for sides in of_axes)
    x = F.pad(x, (*_padding(layer, 1), *_padding(layer, 0)))
    height, width = (
        (x.shape[2 + axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1 for axis in (0, 1)
    )
    rows = _rows(len(x) * height * width, wanted, x.device)
    image, place = rows // (height * width), rows % (height * width)
    lines = (place // width * stride[0])[:, None, None] + _taps(kernel[0], dilation[0], x)[:, None]
    columns = (place % width * stride[1])[:, None, None] + _taps(kernel[1], dilation[1], x)
    patches = x.movedim(1, -1)[image[:, None, None], lines, columns].movedim(-1, 1)
    return patches.reshape(len(rows), layer.groups, -1).transpose(0, 1)


def _padding(layer: Convolution, axis: int) -> tuple[int, int]:
    """Zeros before and after what comes in, along an axis of the image."""
    if layer.padding == "valid" or axis == len(layer.kernel_size):
        return 0, 0
    if layer.padding == "same":
        total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        return total // 2, total - total // 2
    pad = int(layer.padding[axis])
    return pad, pad


def _taps(count: int, dilation: int, like: Tensor) -> Tensor:
    return dilation * torch.arange(count, device=like.device)

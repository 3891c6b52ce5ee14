"""Importance of channels: one number each, comparable between the layers of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from hwtickets.errors import unknown
from hwtickets.space.slicing import present_widths
from hwtickets.space.units import Unit
from hwtickets.supernets.base import Supernet

Scores = dict[str, Tensor]


class TaylorImportance:
    """Squared first-order Taylor expansion of the loss on the affine of the batch norm after the depthwise.

    `(gamma * dL/dgamma + beta * dL/dbeta)^2`, averaged over batches: how much the loss would change without
    the channel. Unlike `|gamma|` it is comparable between layers. Source: Molchanov et al., Importance
    Estimation for Neural Network Pruning (CVPR 2019), section 3.2, gate form.
    """

    name = "taylor"

    def score(self, norm: nn.BatchNorm2d) -> Tensor:
        """Scores of one unit after a backward pass of the task's loss alone; shape (channels,)."""
        assert norm.weight.grad is not None and norm.bias.grad is not None
        change = norm.weight.detach() * norm.weight.grad + norm.bias.detach() * norm.bias.grad
        return change.square()


class BNScaleImportance:
    """`|gamma|` of the batch norm after the depthwise convolution.

    Ranks channels inside a branch; it is no currency between layers. Source: Network Slimming (ICCV 2017),
    section 3; SuperTickets (ECCV 2022), section 3.
    """

    name = "bn-scale"

    def score(self, norm: nn.BatchNorm2d) -> Tensor:
        """Scores of one unit; shape (channels,)."""
        return norm.weight.detach().abs()


Importance = TaylorImportance | BNScaleImportance
IMPORTANCES: dict[str, type[TaylorImportance] | type[BNScaleImportance]] = {
    "taylor": TaylorImportance,
    "bn-scale": BNScaleImportance,
}


def build_importance(name: str) -> Importance:
    """An importance by name; an unknown one is a usage error."""
    if name not in IMPORTANCES:
        raise unknown("importance", name, IMPORTANCES)
    return IMPORTANCES[name]()


def score_units(model: Supernet, units: Iterable[Unit], importance: Importance) -> Scores:
    """Scores every present unit from the gradients that the model holds now.

    Returns:
        Tensors of shape (present channels,) by unit name.
    """
    units = list(units)
    widths = present_widths(model, units)
    scores = {}
    for unit in units:
        if widths[unit.name]:
            norm = model.get_submodule(unit.importance)
            assert isinstance(norm, nn.BatchNorm2d)
            scores[unit.name] = importance.score(norm)
    return scores


def measure_scores(
    model: Supernet,
    units: Iterable[Unit],
    importance: Importance,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: object,
    parts: int = 1,
) -> Scores:
    """Average scores over batches, without changing the network.

    Args:
        model: The network; batch norms use their running statistics.
        units: Units of the search space.
        importance: How a channel is scored.
        batches: Inputs and targets, on any device.
        loss: `loss(outputs, targets) -> scalar tensor`.
        parts: So many `batches` in a row are equal parts of one, computed one after the other.

    Returns:
        Tensors of shape (present channels,) by unit name, on the CPU.
    """
    units = list(units)
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    totals: Scores = {}
    count = 0
    model.zero_grad(set_to_none=True)
    for number, (x, target) in enumerate(batches, 1):
        (loss(model(x.to(device)), target.to(device)) / parts).backward()  # type: ignore[operator]
        if number % parts:
            continue
        add_scores(totals, score_units(model, units, importance))
        model.zero_grad(set_to_none=True)
        count += 1
    model.train(was_training)
    return {name: total.cpu() / count for name, total in totals.items()}


def add_scores(totals: Scores, scores: Mapping[str, Tensor]) -> None:
    """Adds scores to running totals, in place."""
    with torch.no_grad():
        for name, score in scores.items():
            totals[name] = totals[name] + score if name in totals else score.clone()

"""Cutting a ticket out of a draw point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from hwtickets.config import SupernetConfig
from hwtickets.modules.gates import fold_gates
from hwtickets.modules.weights import take_weights
from hwtickets.search.origins import narrowed
from hwtickets.search.points import DrawPoint
from hwtickets.space.slicing import keep_channels, resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import Allocation, best_channels
from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.sparsity.ticket import Architecture, Ticket
from hwtickets.supernets import build_supernet
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.layout import lay_channels_last


@dataclass(frozen=True)
class CutNetwork:
    """A drawn network, not finetuned.

    Attributes:
        model: The network; the statistics of its batch norms are still those of the point.
        masks: Weights that stay zero, cut along.
        drawn: Widths, forms and predicted costs.
        kept: Which channel of the point each of its channels was, by unit.
        channels: Which channel of the supernet each of its channels was, by unit.
    """

    model: Supernet
    masks: Masks
    drawn: Allocation
    kept: dict[str, torch.Tensor]
    channels: dict[str, torch.Tensor]


def uncut_network(point: DrawPoint, space: SearchSpace, supernet: SupernetConfig, task: Task) -> Supernet:
    """The network of a draw point, as it was when the point was kept.

    Args:
        point: The point.
        space: The search space.
        supernet: Name and sizes of the supernet.
        task: Says what goes in and comes out.
    """
    units = space.units.values()
    model = build_supernet(supernet.name, task.input_shape, task.num_outputs, supernet.sizes, task.head)
    resize(model, units, point.widths)
    take_weights(model, units, point.weights)
    return model


def cut(
    point: DrawPoint,
    drawn: Allocation,
    space: SearchSpace,
    supernet: SupernetConfig,
    task: Task,
    pattern: str,
) -> CutNetwork:
    """Cuts the most important channels out of a draw point.

    Args:
        point: Where to draw from.
        drawn: What to keep.
        space: The search space.
        supernet: Name and sizes of the supernet.
        task: Says what goes in and comes out.
        pattern: That of the masks, which a cut tears apart and which is mended.
    """
    units, masks = space.units.values(), dict(point.masks)
    model = uncut_network(point, space, supernet, task)
    kept = {
        name: torch.from_numpy(index) for name, index in best_channels(point.scores, drawn.widths).items()
    }
    keep_channels(model, units, kept, companions=[masks])
    fold_gates(model, units)
    masks = build_granularity(pattern).repaired(model, masks)
    apply_masks(model, masks)
    lay_channels_last(model)
    return CutNetwork(model.eval(), masks, drawn, kept, narrowed(point.origins, kept))


class Shape(Protocol):
    """Which subnet: channels kept by unit, deployed form by block."""

    @property
    def widths(self) -> dict[str, int]: ...

    @property
    def forms(self) -> dict[str, str]: ...


def as_ticket(
    model: Supernet,
    shape: Shape,
    space: SearchSpace,
    task: Task,
    data: str,
    provenance: Mapping[str, Any],
) -> Ticket:
    """A network as a ticket, ready to be saved."""
    architecture = Architecture(
        space.name,
        model.sizes,
        task.input_shape,
        task.num_outputs,
        shape.widths,
        space.dense(),
        shape.forms,
    )
    facts = {
        "name": task.name,
        "data": data,
        "metric": task.metric,
        "classes": task.classes,
        "preprocessing": task.preprocessing(),
    }
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    return Ticket(architecture, weights, facts, dict(provenance))

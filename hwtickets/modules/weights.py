"""Weights of a network while it is searched: those of its gates come along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from hwtickets.modules.gates import add_gates
from hwtickets.space.units import Unit
from hwtickets.supernets.base import Supernet


def take_weights(model: Supernet, units: Iterable[Unit], weights: Mapping[str, Tensor]) -> None:
    """Loads weights that were saved during a search; gates are put in where they were.

    Args:
        model: The network, of the same widths; changed in place.
        units: All units of its space.
        weights: Its state dict then.

    Raises:
        RuntimeError: They are of another network.
    """
    if not set(weights) <= set(model.state_dict()):
        add_gates(model, units)
    model.load_state_dict(dict(weights))

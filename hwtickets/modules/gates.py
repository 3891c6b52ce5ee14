"""Gates: importance factors of units that no batch norm scales, put in for training and folded away after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from hwtickets.space.layout import layouts
from hwtickets.space.units import Unit
from hwtickets.supernets.base import Supernet


class Gate(nn.Module):
    """One scale a channel of a unit, applied to the input or output of the layer that it sits on.

    Source: the gate of Molchanov et al., Importance Estimation for Neural Network Pruning (CVPR 2019),
    section 3.2.

    Args:
        channels: Channels of the unit.
        of_input: Whether the layer's input is scaled, else its output.

    Attributes:
        weight: The scales, all one at first; shape (channels,).
        channel_of: For every entry of the scaled dimension the channel that it belongs to, or -1.
    """

    channel_of: Tensor

    def __init__(self, channels: int, of_input: bool) -> None:
        super().__init__()
        self.of_input = of_input
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("channel_of", torch.zeros(0, dtype=torch.int64), persistent=False)

    def scales(self) -> Tensor:
        """One scale for every entry of the scaled dimension."""
        spread = self.weight[self.channel_of.clamp_min(0)]
        return torch.where(self.channel_of >= 0, spread, torch.ones_like(spread))


def add_gates(model: Supernet, units: Iterable[Unit]) -> None:
    """Gives every unit without a batch norm its gate, in place; the network computes what it did before.

    Args:
        model: The network; must hold no gates.
        units: All units of its space.
    """
    units = list(units)
    for unit in units:
        width = (model.present or {}).get(unit.name, unit.width)
        if unit.gate is None or not width:
            continue
        layer = model.get_submodule(unit.gate.module)
        assert isinstance(layer.weight, Tensor)
        gate = Gate(width, unit.gate.reads).to(layer.weight.device, layer.weight.dtype)
        layer.add_module(_local(unit), gate)
        if not _hooked(layer):
            layer.register_forward_pre_hook(_scale_input)
            layer.register_forward_hook(_scale_output)
    place_gates(model, units)


def place_gates(model: Supernet, units: Iterable[Unit]) -> None:
    """Lays every gate over the entries of its layer as they are now; needed after channels were removed."""
    units = list(units)
    present = {unit.name: (model.present or {}).get(unit.name, unit.width) for unit in units}
    found = dict(layouts(model, units, present))
    for unit in units:
        if unit.gate is None or not _has_gate(model, unit):
            continue
        layout = found[unit.gate.module, unit.gate.tensor, unit.gate.dim]
        gate = model.get_submodule(unit.importance)
        assert isinstance(gate, Gate)
        channel_of = torch.full((layout.length,), -1)
        places = torch.from_numpy(layout.places(unit.name))
        channel_of[places] = torch.arange(len(places))[:, None].expand_as(places)
        gate.channel_of = channel_of.to(gate.weight.device)


def fold_gates(model: Supernet, units: Iterable[Unit]) -> None:
    """Multiplies every gate into the weights of its layer and takes it away, in place.

    A network without gates stays as it is.
    """
    for unit in units:
        if unit.gate is None or not _has_gate(model, unit):
            continue
        layer, gate = model.get_submodule(unit.gate.module), model.get_submodule(unit.importance)
        assert isinstance(gate, Gate)
        with torch.no_grad():
            _fold(layer, gate, unit.gate.dim)
        delattr(layer, _local(unit))


def _fold(layer: nn.Module, gate: Gate, dim: int) -> None:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    scales = gate.scales()
    weight.mul_(scales.view([-1 if axis == dim else 1 for axis in range(weight.dim())]))
    if isinstance(bias, Tensor) and not gate.of_input:
        bias.mul_(scales)


def _local(unit: Unit) -> str:
    return unit.importance.rpartition(".")[2]


def _has_gate(model: Supernet, unit: Unit) -> bool:
    try:
        return isinstance(model.get_submodule(unit.importance), Gate)
    except AttributeError:
        return False


def _hooked(layer: nn.Module) -> bool:
    return _scale_output in layer._forward_hooks.values()


def _scale_input(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *others = args
    for gate in layer.children():
        if isinstance(gate, Gate) and gate.of_input:
            x = x * _laid(layer, gate.scales(), x)
    return (x, *others)


def _scale_output(layer: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
    for gate in layer.children():
        if isinstance(gate, Gate) and not gate.of_input:
            y = y * _laid(layer, gate.scales(), y)
    return y


def _laid(layer: nn.Module, scales: Tensor, x: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return scales
    if not isinstance(layer, nn.modules.conv._ConvNd):
        raise HwticketsError(f"gates scale convolutions and linear layers, not a {type(layer).__name__}")
    return scales.view(-1, *[1] * (x.dim() - 2))

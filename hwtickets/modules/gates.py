"""Gates: importance factors of units that no batch norms stand for, put in to train, folded away after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from hwtickets.space.layout import layouts, tensor_of
from hwtickets.space.units import Member, Unit
from hwtickets.supernets.base import Supernet

#: Where a network holds the gates of its units.
GATES = "gates"


class Gate(nn.Module):
    """One scale a channel of a unit.

    Source: the gate of Molchanov et al., Importance Estimation for Neural Network Pruning (CVPR 2019),
    section 3.2.

    Args:
        channels: Channels of the unit.

    Attributes:
        weight: The scales, all one at first; shape (channels,).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))


class Gated(nn.Module):
    """What a gate does to one layer: it scales its input or its output.

    Args:
        gate: The gate; held by the network, not by the layer.
        of_input: Whether the layer's input is scaled, else its output.

    Attributes:
        channel_of: For every entry of the scaled dimension the channel that it belongs to, or -1.
    """

    channel_of: Tensor

    def __init__(self, gate: Gate, of_input: bool) -> None:
        super().__init__()
        self.of_input = of_input
        self._gate = (gate,)
        self.register_buffer("channel_of", torch.zeros(0, dtype=torch.int64), persistent=False)

    def scales(self) -> Tensor:
        """One scale for every entry of the scaled dimension."""
        spread = self._gate[0].weight[self.channel_of.clamp_min(0)]
        return torch.where(self.channel_of >= 0, spread, torch.ones_like(spread))


def add_gates(model: Supernet, units: Iterable[Unit]) -> None:
    """Gives every unit that batch norms do not scale its gate, in place; the network computes what it did.

    Args:
        model: The network; must hold no gates.
        units: All units of its space.
    """
    units = list(units)
    for unit in units:
        width = (model.present or {}).get(unit.name, unit.width)
        layers = list(_layers(model, unit)) if width else []
        if not layers:
            continue
        first = layers[0][0].weight
        assert isinstance(first, Tensor)
        gate = Gate(width).to(first.device, first.dtype)
        _holder(model).add_module(_local(unit), gate)
        for layer, member in layers:
            layer.add_module(_local(unit), Gated(gate, member.reads))
            if not _hooked(layer):
                layer.register_forward_pre_hook(_scale_input)
                layer.register_forward_hook(_scale_output)
    place_gates(model, units)


def place_gates(model: Supernet, units: Iterable[Unit]) -> None:
    """Lays every gate over the entries of its layers as they are now; those of units without channels go.

    Needed after channels were removed.
    """
    units = list(units)
    if not hasattr(model, GATES):
        return
    present = {unit.name: (model.present or {}).get(unit.name, unit.width) for unit in units}
    found = dict(layouts(model, units, present))
    for unit in units:
        if not present[unit.name]:
            _drop(model, unit)
            continue
        for layer, member in _layers(model, unit):
            layout = found[member.module, member.tensor, member.dim]
            gated = layer.get_submodule(_local(unit))
            assert isinstance(gated, Gated) and isinstance(layer.weight, Tensor)
            channel_of = torch.full((layout.length,), -1)
            places = torch.from_numpy(layout.places(unit.name))
            channel_of[places] = torch.arange(len(places))[:, None].expand_as(places)
            gated.channel_of = channel_of.to(layer.weight.device)


def fold_gates(model: Supernet, units: Iterable[Unit]) -> None:
    """Multiplies every gate into the weights of its layers and takes it away, in place.

    A network without gates stays as it is.
    """
    for unit in units:
        if not _has_gate(model, unit):
            continue
        for layer, member in _layers(model, unit):
            gated = layer.get_submodule(_local(unit))
            assert isinstance(gated, Gated)
            with torch.no_grad():
                _fold(layer, gated, member.dim)
            delattr(layer, _local(unit))
        _drop(model, unit)


def _fold(layer: nn.Module, gated: Gated, dim: int) -> None:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    scales = gated.scales()
    weight.mul_(scales.view([-1 if axis == dim else 1 for axis in range(weight.dim())]))
    if isinstance(bias, Tensor) and not gated.of_input:
        bias.mul_(scales)


def _layers(model: Supernet, unit: Unit) -> Iterator[tuple[nn.Module, Member]]:
    """The layers that the gate of a unit scales, as far as they are left."""
    for member in unit.gates:
        if tensor_of(model, member) is not None:
            yield model.get_submodule(member.module), member


def _holder(model: Supernet) -> nn.Module:
    if not hasattr(model, GATES):
        model.add_module(GATES, nn.Module())
    return model.get_submodule(GATES)


def _local(unit: Unit) -> str:
    return unit.importance.rpartition(".")[2]


def _has_gate(model: Supernet, unit: Unit) -> bool:
    return bool(unit.gates) and hasattr(getattr(model, GATES, None), _local(unit))


def _drop(model: Supernet, unit: Unit) -> None:
    """Takes a gate away, and with the last one what held them."""
    if not _has_gate(model, unit):
        return
    holder = model.get_submodule(GATES)
    delattr(holder, _local(unit))
    if not len(holder._modules):
        delattr(model, GATES)


def _hooked(layer: nn.Module) -> bool:
    return _scale_output in layer._forward_hooks.values()


def _scale_input(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *others = args
    for gated in layer.children():
        if isinstance(gated, Gated) and gated.of_input:
            x = x * _laid(layer, gated.scales(), x)
    return (x, *others)


def _scale_output(layer: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
    for gated in layer.children():
        if isinstance(gated, Gated) and not gated.of_input:
            y = y * _laid(layer, gated.scales(), y)
    return y


def _laid(layer: nn.Module, scales: Tensor, x: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return scales
    if not isinstance(layer, nn.modules.conv._ConvNd):
        raise HwticketsError(f"gates scale convolutions and linear layers, not a {type(layer).__name__}")
    return scales.view(-1, *[1] * (x.dim() - 2))

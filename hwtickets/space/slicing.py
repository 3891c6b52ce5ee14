"""Physical removal of channels: weights, gradients, optimizer state and every companion are cut together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hwtickets.space.layout import layouts
from hwtickets.space.sizes import refresh_sizes
from hwtickets.space.units import Unit
from hwtickets.supernets.base import Supernet

Named = dict[str, Tensor]


def keep_channels(
    model: Supernet,
    units: Iterable[Unit],
    kept: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None = None,
    companions: Sequence[Named] = (),
) -> None:
    """Cuts a network down to some of its channels, in place.

    A unit without channels takes its branch along.

    Args:
        model: The network.
        units: The units of its search space.
        kept: Ascending indices of the channels to keep, by unit name, counted in the present network; a unit
            that is missing here stays whole.
        optimizer: Gets the new parameters, its per-parameter tensors cut like them.
        companions: Tensors by state-dict name that are cut like the model's (EMA, masks); names that vanish
            are deleted.
    """
    if model.present is not None:
        _keep_shared(model, list(units), kept, optimizer, companions)
        return
    for unit in units:
        if unit.name not in kept or not _present(model, unit):
            continue
        index = kept[unit.name]
        if len(index) == 0 and unit.branch is not None:
            _remove_branch(model, unit.branch)
            continue
        for member in unit.members:
            _cut_member(model, member.module, member.tensor, member.dim, index, optimizer, companions)
        for module_name in {member.module for member in unit.members}:
            module = model.get_submodule(module_name)
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                module.groups = module.weight.shape[0]
            refresh_sizes(module)
    for _, block in model.searching_blocks():
        block.drop_unused()
    _forget_removed(model, optimizer, companions)


def present_widths(model: Supernet, units: Iterable[Unit]) -> dict[str, int]:
    """Channels that a network holds of every unit; 0 where the branch is gone."""
    if model.present is not None:
        return {unit.name: model.present.get(unit.name, unit.width) for unit in units}
    return {unit.name: _width(model, unit) for unit in units}


def resize(model: Supernet, units: Iterable[Unit], widths: Mapping[str, int]) -> None:
    """Gives a freshly built supernet the widths of a ticket; which channels are kept does not matter here."""
    keep_channels(model, units, {name: torch.arange(width) for name, width in widths.items()})


def _keep_shared(
    model: Supernet,
    units: Sequence[Unit],
    kept: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
    companions: Sequence[Named],
) -> None:
    """Cuts units whose channels share dimensions with others: every dimension once, for all units on it."""
    present = present_widths(model, units)
    for (module, tensor, dim), layout in layouts(model, units, present):
        if any(unit in kept for unit in layout.parts):
            _cut_member(model, module, tensor, dim, layout.kept(kept), optimizer, companions)
    for unit in units:
        if unit.name not in kept:
            continue
        if unit.gate is not None and _present(model, unit):
            _cut_member(model, unit.importance, "weight", 0, kept[unit.name], optimizer, companions)
        present[unit.name], before = len(kept[unit.name]), present[unit.name]
        for attribute in unit.attributes:
            host = model.get_submodule(attribute.module)
            lost = attribute.per_channel * (before - present[unit.name])
            setattr(host, attribute.name, getattr(host, attribute.name) - lost)
    for name in {member.module for unit in units if unit.name in kept for member in unit.members}:
        refresh_sizes(model.get_submodule(name))
    model.present = present
    model.after_cut(units)
    _forget_removed(model, optimizer, companions)


def _present(model: Supernet, unit: Unit) -> bool:
    try:
        model.get_submodule(unit.importance)
    except AttributeError:
        return False
    return True


def _width(model: Supernet, unit: Unit) -> int:
    # Asked for at every step of a search, of every unit: modules are looked up once.
    try:
        return len(model.get_submodule(unit.importance).get_parameter("weight"))
    except AttributeError:
        return 0


def _cut_member(
    model: Supernet,
    module_name: str,
    tensor_name: str,
    dim: int,
    index: Tensor,
    optimizer: torch.optim.Optimizer | None,
    companions: Sequence[Named],
) -> None:
    module = model.get_submodule(module_name)
    tensor = getattr(module, tensor_name)
    index = index.to(tensor.device)
    if isinstance(tensor, nn.Parameter):
        _replace_parameter(module, tensor_name, tensor, dim, index, optimizer)
    else:
        setattr(module, tensor_name, tensor.index_select(dim, index))
    full_name = f"{module_name}.{tensor_name}"
    for named in companions:
        if full_name in named:
            companion = named[full_name]
            named[full_name] = companion.index_select(dim, index.to(companion.device))


def _replace_parameter(
    module: nn.Module,
    name: str,
    parameter: nn.Parameter,
    dim: int,
    index: Tensor,
    optimizer: torch.optim.Optimizer | None,
) -> None:
    # A new parameter: one whose data changes its shape keeps the old shape wherever autograd remembers it.
    replacement = nn.Parameter(parameter.detach().index_select(dim, index), parameter.requires_grad)
    if parameter.grad is not None:
        replacement.grad = parameter.grad.index_select(dim, index)
    setattr(module, name, replacement)
    if optimizer is None:
        return
    for group in optimizer.param_groups:
        group["params"] = [replacement if entry is parameter else entry for entry in group["params"]]
    if parameter in optimizer.state:
        optimizer.state[replacement] = {
            key: value.index_select(dim, index) if _same_shape(value, parameter) else value
            for key, value in optimizer.state.pop(parameter).items()
        }


def _same_shape(value: object, parameter: nn.Parameter) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _remove_branch(model: Supernet, branch: str) -> None:
    parent, _, key = branch.rpartition(".")
    delattr(model.get_submodule(parent), key)


def _forget_removed(
    model: Supernet, optimizer: torch.optim.Optimizer | None, companions: Sequence[Named]
) -> None:
    names = set(model.state_dict())
    for named in companions:
        for name in [name for name in named if name not in names]:
            del named[name]
    if optimizer is None:
        return
    alive = set(model.parameters())
    for group in optimizer.param_groups:
        for parameter in [parameter for parameter in group["params"] if parameter not in alive]:
            optimizer.state.pop(parameter, None)
        group["params"] = [parameter for parameter in group["params"] if parameter in alive]

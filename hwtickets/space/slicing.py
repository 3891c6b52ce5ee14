"""Physical removal of channels: weights, gradients, optimizer state and every companion are cut together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hwtickets.modules.absent import take_out
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

    A unit without channels takes its branch along; a residual branch goes with the first of its units.

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
    kept = _without_branches(model, units, kept)
    shared = _shared_names(model)
    for (module, tensor, dim), layout in layouts(model, units, present):
        if any(unit in kept for unit in layout.parts):
            index = layout.kept(kept)
            _cut_member(model, module, tensor, dim, index, optimizer, companions)
            for other in shared.get(f"{module}.{tensor}", ()):
                _follow(model, f"{module}.{tensor}", other, dim, index, companions)
    for unit in units:
        if unit.name not in kept:
            continue
        if unit.gates and _present(model, unit):
            _cut_member(model, unit.importance, "weight", 0, kept[unit.name], optimizer, companions)
        present[unit.name], before = len(kept[unit.name]), present[unit.name]
        for attribute in unit.attributes if present[unit.name] else ():
            if not _there(model, attribute.module):
                continue
            host = model.get_submodule(attribute.module)
            lost = attribute.per_channel * (before - present[unit.name])
            setattr(host, attribute.name, getattr(host, attribute.name) - lost)
    for name in {member.module for unit in units if unit.name in kept for member in unit.members}:
        if _there(model, name):
            refresh_sizes(model.get_submodule(name))
    model.present = present
    model.after_cut(units)
    _forget_removed(model, optimizer, companions)


def _without_branches(
    model: Supernet, units: Sequence[Unit], kept: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Takes out the residual branches of units without channels; what is kept of the units then."""
    gone = {unit.residual for unit in units if unit.name in kept and not len(kept[unit.name])} - {None}
    for branch in gone:
        assert branch is not None
        take_out(model, branch)
    nothing = torch.zeros(0, dtype=torch.int64)
    return {**kept, **{unit.name: nothing for unit in units if unit.residual in gone}}


def _present(model: Supernet, unit: Unit) -> bool:
    return _there(model, unit.importance)


def _there(model: Supernet, name: str) -> bool:
    try:
        model.get_submodule(name)
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


def _shared_names(model: Supernet) -> dict[str, list[str]]:
    """Tensors with several names, in several modules or in one: the first name of each, and the others."""
    names: dict[int, list[str]] = {}
    held = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in held:
        names.setdefault(id(tensor), []).append(name)
    return {first: others for first, *others in names.values() if others}


def _follow(
    model: Supernet, name: str, other: str, dim: int, index: Tensor, companions: Sequence[Named]
) -> None:
    """Makes another name of a tensor that was cut stand for it again."""
    (owner, _, tensor), (module, _, own) = name.rpartition("."), other.rpartition(".")
    holder = model.get_submodule(module)
    setattr(holder, own, getattr(model.get_submodule(owner), tensor))
    refresh_sizes(holder)
    for named in companions:
        if other in named:
            named[other] = named[other].index_select(dim, index.to(named[other].device))


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

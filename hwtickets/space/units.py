"""Units: the channel groups that can be removed on their own, found through the dependency graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hwtickets.errors import HwticketsError
from hwtickets.supernets.base import ParallelSum, Supernet


@dataclass(frozen=True)
class Member:
    """One tensor that loses entries when channels of a unit are removed.

    Attributes:
        module: Full name of the module that owns it.
        tensor: Name of the parameter or buffer in that module.
        dim: Dimension that the channels lie on.
        entries: Places of every channel along that dimension in the full network, ascending, as many for
            every channel; None where channel i is entry i and nothing else lies there.
        reads: Whether the tensor takes the channels in (a layer's input) instead of making or scaling them.
    """

    module: str
    tensor: str
    dim: int
    entries: tuple[tuple[int, ...], ...] | None = None
    reads: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """Full name of the tensor, as in a state dict."""
        return f"{self.module}.{self.tensor}"


@dataclass(frozen=True)
class Attribute:
    """A number that a module keeps beside its weights and that falls with the channels of a unit.

    Attributes:
        module: Full name of the module.
        name: Name of the attribute, e.g. "num_heads".
        per_channel: What it loses with every channel.
    """

    module: str
    name: str
    per_channel: int


@dataclass(frozen=True)
class Branch:
    """A residual branch `x + f(x)` of a module that somebody else wrote, which may vanish as a whole.

    Without it `f(x)` counts as zero, the constants that its last layers add included: the network is the one
    whose branch is multiplied by zero.

    Attributes:
        name: Name of the module that it goes by, as its author knows it.
        absent: Full names of the modules that are not run any more.
        passing: Full names of the modules that hand on what comes in.
    """

    name: str
    absent: tuple[str, ...]
    passing: tuple[str, ...]


@dataclass(frozen=True)
class Unit:
    """A coupled group of channels.

    Attributes:
        name: Full name, e.g. "blocks.3.k5".
        block: The searching block it belongs to, e.g. "blocks.3".
        width: Channels in the supernet.
        importance: Full name of the batch norm (or gate) whose scales are the importance factors; of several,
            the one that goes by the unit's name elsewhere.
        branch: Full name of the module that vanishes with the last channel, or None if it must stay.
        members: All tensors that the channels run through.
        attributes: Numbers that fall with the channels, besides the sizes of known layers.
        gates: The tensors that the gate of the unit scales, where batch norms do not scale all of its
            channels' ways; see `hwtickets.modules.gates`.
        factors: All scales that stand for its channels: of batch norms, and the gate's own.
        residual: The residual branch that it lies in, where that may vanish: then all of its units have no
            channels.
    """

    name: str
    block: str
    width: int
    importance: str
    branch: str | None
    members: tuple[Member, ...]
    attributes: tuple[Attribute, ...] = ()
    gates: tuple[Member, ...] = ()
    factors: tuple[Member, ...] = ()
    residual: Branch | None = None

    @property
    def channels_per_scale(self) -> int:
        """Channels of a layer that one scale stands for: those of an attention head or of a group, else 1."""
        scales = self.gates or self.factors
        return max((len(member.entries[0]) for member in scales if member.entries), default=1)


def find_units(model: Supernet) -> dict[str, Unit]:
    """Finds the units behind every importance factor of a supernet.

    Most are found through torch-pruning's dependency graph; what blocks declare themselves is taken as it is.

    Args:
        model: The supernet, with its full widths.

    Returns:
        Units by name, in execution order.

    Raises:
        HwticketsError: A channel group is coupled in a way that cannot be sliced, with the module's name.
    """
    units = {}
    declared = _declared_members(model)
    traced, graph = _dependency_graph(model, declared)
    names = {module: name for name, module in traced.named_modules()}
    for block_name, block in model.searching_blocks():
        for local, importance in block.importance_factors().items():
            name, norm = f"{block_name}.{local}", f"{block_name}.{importance}"
            width = len(model.get_parameter(f"{norm}.weight"))
            members = declared.get(name) or _coupled_members(names, graph, traced.get_submodule(norm))
            units[name] = Unit(name, block_name, width, norm, _branch(model, members), members)
    return units


def _declared_members(model: Supernet) -> dict[str, tuple[Member, ...]]:
    """Members by unit, of the units that blocks declare."""
    return {
        f"{block_name}.{local}": tuple(
            Member(f"{block_name}.{module}", tensor, dim, reads=dim == 1) for module, tensor, dim in members
        )
        for block_name, block in model.searching_blocks()
        for local, members in block.declared_members().items()
    }


def _dependency_graph(model: Supernet, declared: Mapping[str, tuple[Member, ...]]) -> tuple[Supernet, Any]:
    """A copy of the network without weights and without what is declared, and its dependency graph."""
    import torch_pruning as tp

    traced = copy.deepcopy(model).to("meta").eval()
    for members in declared.values():
        branch = _branch(model, members)
        if branch is not None:
            parent, _, child = branch.rpartition(".")
            delattr(traced.get_submodule(parent), child)
    with torch.enable_grad():
        x = torch.zeros(1, *model.input_shape, device="meta")
        return traced, tp.DependencyGraph().build_dependency(traced, x)


def _coupled_members(names: Mapping[nn.Module, str], graph: Any, norm: nn.Module) -> tuple[Member, ...]:
    import torch_pruning as tp

    assert isinstance(norm, nn.BatchNorm2d)
    group = graph.get_pruning_group(norm, tp.prune_batchnorm_out_channels, list(range(norm.num_features)))
    return _members(group, norm.num_features, graph, names)


def _members(group: Any, width: int, graph: Any, names: Mapping[nn.Module, str]) -> tuple[Member, ...]:
    members: dict[Member, None] = {}
    for dependency, indices in group:
        module = dependency.target.module
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        if sorted(indices) != list(range(width)):
            raise HwticketsError(
                f"{names[module]}: its channels are coupled over a concat, split or flatten, which cannot be"
                " pruned yet; keep it out of the importance factors"
            )
        outgoing = graph.is_out_channel_pruning_fn(dependency.handler)
        for tensor, dim in _sliced_tensors(module, outgoing, names[module]):
            members[Member(names[module], tensor, dim, reads=dim == 1)] = None
    return tuple(members)


def _sliced_tensors(module: nn.Module, outgoing: bool, name: str) -> list[tuple[str, int]]:
    if isinstance(module, nn.BatchNorm2d):
        return [("weight", 0), ("bias", 0), ("running_mean", 0), ("running_var", 0)]
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels == module.out_channels > 1:
        outgoing = True
    if isinstance(module, nn.Conv2d | nn.Linear):
        bias = [("bias", 0)] if outgoing and module.bias is not None else []
        return [("weight", 0 if outgoing else 1), *bias]
    raise HwticketsError(
        f"{name}: channels of a {type(module).__name__} cannot be pruned yet; keep it out of the units"
    )


def _branch(model: Supernet, members: tuple[Member, ...]) -> str | None:
    """The module below a `ParallelSum` that holds all members: it may vanish as a whole."""
    first = members[0].module.split(".")
    for depth in range(1, len(first)):
        parent, prefix = ".".join(first[:depth]), ".".join(first[: depth + 1])
        inside = all(member.module == prefix or member.module.startswith(prefix + ".") for member in members)
        if inside and isinstance(model.get_submodule(parent), ParallelSum):
            return prefix
    return None

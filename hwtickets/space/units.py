"""Units: the channel groups that can be removed on their own, found through the dependency graph."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    module: str
    tensor: str
    dim: int

    @property
    def name(self) -> str:
        """Full name of the tensor, as in a state dict."""
        return f"{self.module}.{self.tensor}"


@dataclass(frozen=True)
class Unit:
    """A coupled group of channels.

    Attributes:
        name: Full name, e.g. "blocks.3.k5".
        block: The searching block it belongs to, e.g. "blocks.3".
        width: Channels in the supernet.
        importance: Full name of the batch norm whose scales are the importance factors.
        branch: Full name of the module that vanishes with the last channel, or None if it must stay.
        members: All tensors that the channels run through.
    """

    name: str
    block: str
    width: int
    importance: str
    branch: str | None
    members: tuple[Member, ...]


def find_units(model: Supernet) -> dict[str, Unit]:
    """Finds the units behind every importance factor of a supernet (torch-pruning's dependency graph).

    Args:
        model: The supernet, with its full widths.

    Returns:
        Units by name, in execution order.

    Raises:
        HwticketsError: A channel group is coupled in a way that cannot be sliced, with the module's name.
    """
    import torch_pruning as tp

    was_training = model.training
    model.eval()
    with torch.enable_grad():
        graph = tp.DependencyGraph().build_dependency(model, torch.zeros(1, *model.input_shape))
    model.train(was_training)
    names = {module: name for name, module in model.named_modules()}
    units = {}
    for block_name, block in model.searching_blocks():
        for local, importance in block.importance_factors().items():
            norm = block.get_submodule(importance)
            assert isinstance(norm, nn.BatchNorm2d)
            group = graph.get_pruning_group(
                norm, tp.prune_batchnorm_out_channels, list(range(norm.num_features))
            )
            members = _members(group, norm.num_features, graph, names)
            name = f"{block_name}.{local}"
            units[name] = Unit(
                name,
                block_name,
                norm.num_features,
                f"{block_name}.{importance}",
                _branch(model, members),
                members,
            )
    return units


def _members(group: object, width: int, graph: object, names: dict[nn.Module, str]) -> tuple[Member, ...]:
    members: dict[Member, None] = {}
    for dependency, indices in group:  # type: ignore[attr-defined]
        module = dependency.target.module
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        if sorted(indices) != list(range(width)):
            raise HwticketsError(
                f"{names[module]}: its channels are coupled over a concat, split or flatten, which cannot be"
                " pruned yet; keep it out of the importance factors"
            )
        outgoing = graph.is_out_channel_pruning_fn(dependency.handler)  # type: ignore[attr-defined]
        for tensor, dim in _sliced_tensors(module, outgoing, names[module]):
            members[Member(names[module], tensor, dim)] = None
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

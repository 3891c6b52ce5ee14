"""Numbers that hosts keep beside their weights: head counts, channel numbers, groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn

from hwtickets.modules.layers import goes_by_group
from hwtickets.space.units import Attribute, Member, Unit

#: Names under which hosts keep how many heads there are.
_HEADS = (
    "num_heads", "n_heads", "n_head", "heads", "nhead", "num_attention_heads", "num_kv_heads",
    "num_key_value_heads", "q_num_heads", "h",
)  # fmt: skip
#: Names under which hosts keep how many channels lie between two layers of theirs.
_CHANNELS = (
    "attn_dim", "all_head_dim", "all_head_size", "inner_dim", "attention_dim", "hidden_dim",
    "hidden_features", "hidden_size", "hidden_channels", "mid_channels", "mid_chs", "planes",
    "inter_channels", "inter_dim", "bottleneck_channels", "expanded_channels", "dh", "nh_kd",
)  # fmt: skip

#: Names under which hosts keep how many channels go into or come out of them.
_ENDS = ("in_channels", "out_channels", "in_chs", "out_chs", "num_features", "mlp_dim")
#: Names under which hosts keep how many channels their head reads.
_FEATURES = ("num_features", "head_hidden_size", "in_features", "last_channel", "inplanes")


def host_attributes(module: nn.Module, members: Sequence[Member], width: int) -> tuple[Attribute, ...]:
    """The attributes that have to fall with the channels of a unit.

    Sizes of known layers follow their weights; the groups of layers that lose whole groups are listed here.
    Hosts are searched from the owners of the tensors up to the module that holds all of them.

    Args:
        module: The network, at full widths.
        members: Tensors of the unit.
        width: Channels of the unit.
    """
    found: dict[Attribute, None] = {}
    for member in members:
        for attribute in _groups(module.get_submodule(member.module), member, width):
            found[attribute] = None
    sizes = {width * len(_places(member)) for member in members}
    per_head = max(len(_places(member)) for member in members)
    for name in _hosts(members):
        for key, value in vars(module.get_submodule(name)).items():
            if type(value) is not int:
                continue
            if key in _HEADS and value == width and per_head > 1:
                found[Attribute(name, key, 1)] = None
            if value in sizes and (
                key in _CHANNELS or (key in _ENDS and _alone(module, name, value, members))
            ):
                found[Attribute(name, key, value // width)] = None
    return tuple(dict.fromkeys([*found, *_of_head(module, members)]))


def likely_attributes(module: nn.Module, unit: Unit, read: Collection[tuple[str, str]]) -> list[Attribute]:
    """Whole numbers of hosts, whatever their names, that may count the channels of a unit; to be tried out.

    Args:
        module: The network, at full widths.
        unit: One of its units; what it knows already is left out.
        read: What the network reads of itself when it runs, as (module, attribute).
    """
    sizes = {unit.width, *(unit.width * len(_places(member)) for member in unit.members)}
    found = [
        Attribute(host, key, value // unit.width)
        for host in _hosts(unit.members)
        for key, value in vars(module.get_submodule(host)).items()
        if type(value) is int and value in sizes and (host, key) in read
    ]
    return [attribute for attribute in found if attribute not in unit.attributes]


def _alone(module: nn.Module, host: str, size: int, members: Sequence[Member]) -> bool:
    """Whether a number of a host can mean these channels alone: nothing else in it is of that size."""
    own = {(member.name, member.dim) for member in members}
    tensors = dict(module.get_submodule(host).named_parameters(prefix=host))
    if any(name.rpartition(".")[0] == host for name in tensors):
        return False  # A layer whose sizes follow its weights.
    return all(
        (name, axis) in own
        for name, tensor in tensors.items()
        for axis, length in enumerate(tensor.shape)
        if length == size
    )


def _of_head(module: nn.Module, members: Sequence[Member]) -> list[Attribute]:
    """What the hosts of the last layer remember of its inputs, if it reads the channels of the unit."""
    layers = [
        (name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)
    ]
    if not layers:
        return []
    name, head = layers[-1]
    read = sum(len(_places(member)) for member in members if member.reads and member.module == name)
    inputs = head.in_features if isinstance(head, nn.Linear) else head.in_channels
    parts = name.split(".")
    hosts = [".".join(parts[:depth]) for depth in range(1, len(parts))]
    return [
        Attribute(host, key, read)
        for host in hosts
        for key in _FEATURES
        if read and vars(module.get_submodule(host)).get(key) == inputs
    ]


def _places(member: Member) -> tuple[int, ...]:
    return (0,) if member.entries is None else member.entries[0]


def _groups(layer: nn.Module, member: Member, width: int) -> list[Attribute]:
    if member.tensor != "weight" or member.dim != 0:
        return []
    if isinstance(layer, nn.GroupNorm):
        per_group = layer.num_channels // layer.num_groups
        return [Attribute(member.module, "num_groups", max(1, len(_places(member)) // per_group))]
    if not isinstance(layer, nn.modules.conv._ConvNd) or layer.groups == 1:
        return []
    if not goes_by_group(layer.groups, layer.in_channels):
        return []
    per_group = 1 if layer.transposed else layer.out_channels // layer.groups
    return [Attribute(member.module, "groups", len(_places(member)) // per_group)]


def _hosts(members: Sequence[Member]) -> list[str]:
    """Owners of the tensors and the modules around them, up to the innermost one that holds all."""
    paths = [member.module.split(".") for member in members]
    common = 0
    while all(len(path) > common for path in paths) and len({path[common] for path in paths}) == 1:
        common += 1
    hosts: dict[str, None] = {}
    for path in paths:
        for depth in range(max(common, 1), len(path) + 1):
            hosts[".".join(path[:depth])] = None
    return list(hosts)

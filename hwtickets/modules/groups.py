"""The units of any module: channels that are removed together, and what cannot be removed and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from hwtickets.modules.attributes import host_attributes
from hwtickets.modules.calls import Record, body_name
from hwtickets.modules.components import Components, components, holds
from hwtickets.modules.labels import Freeze, axes_of
from hwtickets.space.units import Member, Unit

Slot = tuple[str, int]
#: Where a component lies: places along a dimension of a tensor, by tensor and dimension.
Places = dict[Slot, list[int]]


@dataclass(frozen=True)
class Groups:
    """What a module can lose.

    Attributes:
        units: Units by name, in execution order.
        unprunable: Why the outputs of a layer stay whole, by the module's name.
        found: The component of every label of the record.
        unit_of: The unit of every component that can be removed.
    """

    units: dict[str, Unit]
    unprunable: dict[str, str]
    found: Components
    unit_of: dict[int, str] = field(default_factory=dict)


def find_groups(module: nn.Module, record: Record, keep: Sequence[str], denied: Mapping[str, str]) -> Groups:
    """Sorts the channels of a recorded module into units.

    Args:
        module: The module, at full widths.
        record: Its recorded run.
        keep: Names of modules that are left alone, with everything inside of them.
        denied: Reasons by name of units that turned out not to be removable.
    """
    found = components(record.ties)
    frozen = [*_kept(record, keep), *record.ties.frozen]
    held = holds(found, frozen)
    places = _places(record, found, held)
    maker = _makers(record, found)
    units: dict[str, Unit] = {}
    unit_of: dict[int, str] = {}
    unprunable: dict[str, str] = {}
    whole: dict[int, str] = {}
    for members in _alike(places, maker):
        name = _free_name(record.producers[maker[members[0]]][0], [*units, *unprunable])
        reason = denied.get(name) or _too_few(members)
        unit = None if reason else _unit(module, record, name, [places[component] for component in members])
        if unit is None or not unit.importance:
            unprunable[name] = reason or "there is neither a batch norm nor a layer that could take a gate"
            whole.update(dict.fromkeys(members, unprunable[name]))
            continue
        units[name] = unit
        unit_of.update(dict.fromkeys(members, name))
    for where, labels in record.producers:
        reasons = [place for place in held[found[labels]] if place >= 0]
        if reasons:
            unprunable.setdefault(where, _told(frozen[min(reasons)]))
        # All layers that write channels of a unit that stays, not only the one that it is named by.
        for component in found[labels].tolist():
            if component in whole:
                unprunable.setdefault(where, whole[component])
    return Groups(units, unprunable, found, unit_of)


def _kept(record: Record, keep: Sequence[str]) -> list[Freeze]:
    """Freezes of everything that the user named."""
    freezes = []
    for name, tensor in record.parameters.items():
        if any(body_name(name).startswith(f"{module}.") for module in keep):
            freezes += [Freeze(labels.ravel(), "left alone as asked", "") for labels in tensor.fields]
    return freezes


def _told(freeze: Freeze) -> str:
    return f"{freeze.reason} (in {freeze.where})" if freeze.where else freeze.reason


def _too_few(members: Sequence[int]) -> str:
    return "all of its channels go together" if len(members) == 1 else ""


def _places(record: Record, found: Components, held: Components) -> dict[int, Places]:
    """Where every component that may be removed lies."""
    places: dict[int, Places] = {}
    for name, tensor in record.parameters.items():
        for labels in tensor.fields:
            (axis,) = axes_of(labels)
            for place, component in enumerate(found[labels.ravel()].tolist()):
                if held[component] < 0:
                    places.setdefault(component, {}).setdefault((name, axis), []).append(place)
    return places


def _makers(record: Record, found: Components) -> dict[int, int]:
    """The first product with weights that writes each component."""
    maker: dict[int, int] = {}
    for number, (_, labels) in enumerate(record.producers):
        for component in found[labels].tolist():
            maker.setdefault(component, number)
    return maker


def _alike(places: Mapping[int, Places], maker: Mapping[int, int]) -> list[list[int]]:
    """Components that lie in the same tensors with as many entries each, in the order of their layers."""
    kinds: dict[tuple[tuple[Slot, int], ...], list[int]] = {}
    for component, own in places.items():
        if component in maker:
            kinds.setdefault(tuple((slot, len(at)) for slot, at in own.items()), []).append(component)
    ordered = [sorted(kind, key=lambda one: next(iter(places[one].values()))[0]) for kind in kinds.values()]
    return sorted(ordered, key=lambda kind: maker[kind[0]])


def _free_name(where: str, taken: Iterable[str]) -> str:
    """The name of the layer that makes the channels; of its second kind of channels, with a number."""
    taken, name, number = set(taken), where, 1
    while name in taken:
        number += 1
        name = f"{where}.{number}"
    return name


def _unit(module: nn.Module, record: Record, name: str, channels: Sequence[Places]) -> Unit:
    written = {int(labels[0]) for _, labels in record.producers}
    members = []
    for full, axis in channels[0]:
        tensor = record.parameters[full]
        entries = np.array([own[full, axis] for own in channels])
        simple = entries.shape == (tensor.shape[axis], 1) and (entries[:, 0] == np.arange(len(entries))).all()
        first = int(next(labels for labels in tensor.fields if axes_of(labels) == [axis]).ravel()[0])
        owner, _, own_name = full.rpartition(".")
        reads = full in record.weights and first not in written
        listed = None if simple else tuple(map(tuple, entries.tolist()))
        members.append(Member(owner, own_name, axis, listed, reads))
    block = name.rpartition(".")[0] or name
    width = len(channels)
    gated = _gated(module, record, members)
    scales = [] if gated else [member for member in members if member.tensor == "running_mean"]
    importance = (
        scales[0].module if scales else f"{gated.module}.gate_{name.replace('.', '_')}" if gated else ""
    )
    attributes = host_attributes(module, members, width)
    return Unit(name, block, width, importance, None, tuple(members), attributes, gated)


def _gated(module: nn.Module, record: Record, members: Sequence[Member]) -> Member | None:
    """Where a gate goes: on the input of the only layer that reads the channels, else where they are made."""
    names = {member.name for member in members}
    norms = [member for member in members if member.tensor == "running_mean"]
    if any(f"{norm.module}.weight" in names for norm in norms):
        return None
    layers = [member for member in members if record.weights.get(member.name) and _gateable(module, member)]
    reading = [member for member in layers if member.reads]
    made = [member for member in layers if not member.reads]
    return reading[0] if len(reading) == 1 else next(iter([*made, *reading]), None)


def _gateable(module: nn.Module, member: Member) -> bool:
    layer = module.get_submodule(member.module)
    if member.tensor != "weight" or isinstance(layer, nn.Linear):
        return member.tensor == "weight"
    return isinstance(layer, nn.modules.conv._ConvNd) and (layer.groups == 1 or member.dim == 0)

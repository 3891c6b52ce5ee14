"""The units of any module: channels that are removed together, and what cannot be removed and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from hwtickets.modules.attributes import host_attributes
from hwtickets.modules.calls import Record, body_name, is_constant
from hwtickets.modules.components import Components, components, holds
from hwtickets.modules.factors import Path, paths
from hwtickets.modules.gates import GATES
from hwtickets.modules.labels import Freeze, axes_of
from hwtickets.modules.layers import KERNEL
from hwtickets.space.units import Attribute, Member, Unit

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


def find_groups(
    module: nn.Module,
    record: Record,
    keep: Sequence[str],
    denied: Mapping[str, str],
    counting: Mapping[str, Sequence[Attribute]],
) -> Groups:
    """Sorts the channels of a recorded module into units.

    Args:
        module: The module, at full widths.
        record: Its recorded run.
        keep: Names of modules that are left alone, with everything inside of them.
        denied: Reasons by name of units that turned out not to be removable.
        counting: Numbers of hosts by name of the unit that turned out to count its channels.
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
    alike = _alike(places, maker)
    for members, path in zip(alike, paths(record, found, alike), strict=True):
        name = _free_name(record.producers[maker[members[0]]][0], [*units, *unprunable])
        reason = denied.get(name) or _too_few(members)
        channels = [places[component] for component in members]
        unit = None if reason else _unit(module, record, name, channels, path, counting.get(name, ()))
        if unit is None or not unit.importance:
            unprunable[name] = reason or "no batch norm of it learns, no layer can take a gate"
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
    groups = Groups(units, unprunable, found, unit_of)
    _list_others(record, groups, held, frozen)
    return groups


def _list_others(record: Record, groups: Groups, held: Components, frozen: Sequence[Freeze]) -> None:
    """Adds the layers with weights that make no unit and were not listed yet."""
    found, unit_of, unprunable = groups.found, groups.unit_of, groups.unprunable
    made = {member.name for unit in groups.units.values() for member in unit.members if not member.reads}
    for call in record.calls:
        if call.pointwise or is_constant(call) or call.name in ("cat", "stack"):
            continue
        for tensor in call.inputs:
            name = tensor.parameter if tensor.constant and len(tensor.shape) > 1 else None
            if name is None or (name in made and name in record.weights):
                continue
            labels = [found[one.ravel()] for one in record.parameters[name].fields]
            if name in made and all(component in unit_of for own in labels for component in own.tolist()):
                continue
            places = {place for own in labels for place in held[own].tolist()} - {-1}
            reasons = [place for place in places if frozen[place].reason != KERNEL]
            reason = _told(frozen[min(reasons)]) if reasons else "its channels are not followed"
            single = tensor is call.weight and not reasons and 1 in call.outputs[0].shape[1:2]
            unprunable.setdefault(call.where or body_name(name), "it makes one channel" if single else reason)


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


def _unit(
    module: nn.Module,
    record: Record,
    name: str,
    channels: Sequence[Places],
    path: Path,
    counting: Sequence[Attribute],
) -> Unit:
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
    gates, norms = _scales(module, record, members, path)
    gate = [Member(f"{GATES}.{name.replace('.', '/')}", "weight", 0)] if gates else []
    factors = (*norms, *gate)
    importance = gate[0].module if gate else _norm_of(members) if norms else ""
    attributes = (*host_attributes(module, members, width), *counting)
    return Unit(name, block, width, importance, None, tuple(members), attributes, gates, factors)


def _scales(
    module: nn.Module, record: Record, members: Sequence[Member], path: Path
) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """What a gate scales and the scales of norms that stand for channels: together, on all of their ways.

    On the inputs of all readers a gate stands for a channel as a whole, whatever lies before. Where not every
    reader can take one, it sits on the outputs of those makers that no norm follows. A frozen scale tells
    nothing, and no gate behind or before it stands for the channel but one on all readers.
    """
    scales = [member for member in members if member.name in path.norms]
    norms = tuple(member for member in scales if module.get_parameter(member.name).requires_grad)
    if norms and path.exact and len(norms) == len(scales):
        return (), norms
    layers = [member for member in members if record.weights.get(member.name) and _gateable(module, member)]
    taking = {member.name: member for member in layers if member.reads}
    making = {member.name: member for member in layers if not member.reads}
    readers = tuple(taking[name] for name in dict.fromkeys(path.readers) if name in taking)
    if readers and all(name in taking for name in path.readers):
        return readers, ()
    if len(norms) < len(scales):
        return (), ()
    makers = tuple(making[name] for name in dict.fromkeys(path.makers) if name in making)
    return makers or (() if norms else readers), norms


def _norm_of(members: Sequence[Member]) -> str:
    return next(member.module for member in members if member.tensor == "running_mean")


def _gateable(module: nn.Module, member: Member) -> bool:
    layer = module.get_submodule(member.module)
    if member.tensor != "weight" or isinstance(layer, nn.Linear):
        return member.tensor == "weight"
    return isinstance(layer, nn.modules.conv._ConvNd) and (layer.groups == 1 or member.dim == 0)

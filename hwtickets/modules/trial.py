"""Tries every unit out: without some channels a network has to run, with tensors of the sizes foreseen."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch.utils._pytree import tree_flatten

from hwtickets.errors import HwticketsError
from hwtickets.modules.attributes import likely_attributes
from hwtickets.modules.calls import Call, Record
from hwtickets.modules.forms import Form, Sizes
from hwtickets.modules.groups import Groups, find_groups
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.reading import Number, numbers_read
from hwtickets.modules.recorder import record
from hwtickets.modules.shapes import FREE
from hwtickets.space.slicing import resize
from hwtickets.space.units import Attribute


def tried_groups(model: HostedNetwork, run: Record, keep: Sequence[str]) -> Groups:
    """The units of a hosted network that can really be removed.

    Where a removal goes wrong, numbers that the code around keeps are tried: one that makes it go right when
    it falls with the channels counts them, whatever its name. Units whose removal still makes the forward
    pass fail, or compute with other numbers than foreseen (a size that the code has written down, a slice at
    a fixed place), are listed as unprunable with what was seen.

    Args:
        model: Without weights, at full widths.
        run: Its recorded run.
        keep: Names of modules that are left alone.
    """
    denied: dict[str, str] = {}
    counting: dict[str, tuple[Attribute, ...]] = {}
    groups = find_groups(model, run, keep, denied, counting)
    read: set[Number] | None = None
    while groups.units and _failure(model, run, groups, list(groups.units)):
        alone = {name: _failure(model, run, groups, [name]) for name in groups.units}
        failing = {name: reason for name, reason in alone.items() if reason} or _together(model, run, groups)
        read = numbers_read(model) if read is None else read
        for name, reason in failing.items():
            known = name in counting or not alone[name]
            counted = () if known else _counting(model, run, groups, name, read)
            if counted:
                counting[name] = counted
            else:
                denied[name] = reason
        groups = find_groups(model, run, keep, denied, counting)
    return groups


def _counting(
    model: HostedNetwork, run: Record, groups: Groups, name: str, read: set[Number]
) -> tuple[Attribute, ...]:
    """Numbers of hosts with which the channels of a unit can be removed: one, else all; none if it fails."""
    unit = groups.units[name]
    likely = likely_attributes(model, unit, read)
    several = [tuple(likely)] if len(likely) > 1 else []
    for chosen in [*((one,) for one in likely), *several]:
        counted = replace(unit, attributes=(*unit.attributes, *chosen))
        tried = replace(groups, units={**groups.units, name: counted})
        if not _failure(model, run, tried, [name]):
            return chosen
    return ()


def _together(model: HostedNetwork, run: Record, groups: Groups) -> dict[str, str]:
    """The first unit that fails together with the ones before."""
    good: list[str] = []
    for name in groups.units:
        reason = _failure(model, run, groups, [*good, name])
        if reason:
            return {name: reason}
        good.append(name)
    raise AssertionError("units that fail together also fail one after the other")


def _failure(model: HostedNetwork, run: Record, groups: Groups, units: Sequence[str]) -> str:
    """What goes wrong without some channels of some units; empty if nothing."""
    widths = {name: unit.width for name, unit in groups.units.items()}
    for number, (name, width) in enumerate(widths.items()):
        if name in units:
            widths[name] = width - max(1, width // (2 + number % 3))
    trial = copy.deepcopy(model)
    try:
        resize(trial, groups.units.values(), widths)
        again = record(trial, model.input_shape, follow=False)
    except (HwticketsError, IndexError, RuntimeError) as error:
        return f"its forward needs all of them ({str(error).splitlines()[0]})"
    return _difference(run, again, groups, widths)


def _difference(run: Record, again: Record, groups: Groups, widths: Mapping[str, int]) -> str:
    """The first place at which a run is not the one foreseen."""
    calls, calls_again = _computing(run), _computing(again)
    if [call.name for call in calls] != [call.name for call in calls_again]:
        return "its forward takes another way without some of them"
    sizes = Sizes(groups)
    memory: dict[int, tuple[Form, ...]] = {}
    for before, after in zip(calls, calls_again, strict=True):
        for tensor, seen in list(zip(before.outputs, after.outputs, strict=True))[: _counted(before)]:
            if id(tensor) not in memory:
                memory[id(tensor)] = sizes.of(tensor)
            foreseen = tuple(form.of(widths) for form in memory[id(tensor)])
            if not _elastic(before) and foreseen != seen.shape:
                return f"{before.where} has sizes of its own written down ({before.name})"
        if _numbers(before) != _numbers(after):
            return f"{before.where} computes with their number ({before.name})"
    return ""


def _computing(run: Record) -> list[Call]:
    """Its calls without views: torch leaves out those that do nothing at the sizes of the moment."""
    return [call for call in run.calls if call.name not in FREE.free]


def _counted(call: Call) -> int:
    """How many of its outputs count: norms also return statistics that nobody reads."""
    return 1 if call.name.startswith("native_") else len(call.outputs)


def _elastic(call: Call) -> bool:
    """Tensors that are made on the spot and what is computed of them alone say nothing about channels."""
    return all(tensor.constant for tensor in call.outputs)


def _numbers(call: Call) -> list[Any]:
    return [value for value in tree_flatten(list(call.given.values()))[0] if type(value) is float]

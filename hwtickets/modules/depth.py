"""Depth: residual branches of a module that can vanish as a whole, tried out before they are offered."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch.utils._pytree import tree_flatten

from hwtickets.modules.absent import take_out
from hwtickets.modules.calls import Call, Record, Tensed, body_name
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.recorder import record
from hwtickets.modules.residuals import Flow, Residual, find_residuals
from hwtickets.modules.shapes import FREE
from hwtickets.space.units import Branch, Unit

_BODY = "body."


@dataclass(frozen=True)
class Removable:
    """A branch that can vanish.

    Attributes:
        branch: What is taken out of the network.
        residual: What is not computed then.
        units: Names of the units that lie in it.
    """

    branch: Branch
    residual: Residual
    units: tuple[str, ...]


@dataclass(frozen=True)
class Depth:
    """The branches of a module.

    Attributes:
        removable: Those that can vanish, in execution order.
        denied: Why others stay, by name.
    """

    removable: list[Removable]
    denied: dict[str, str]

    def marked(self, units: Mapping[str, Unit]) -> dict[str, Unit]:
        """The units, those inside of a branch knowing it."""
        of = {name: found.branch for found in self.removable for name in found.units}
        return {name: replace(unit, residual=of.get(name)) for name, unit in units.items()}


def find_depth(model: HostedNetwork, run: Record, units: Mapping[str, Unit], keep: Sequence[str]) -> Depth:
    """Finds the residual branches that can vanish.

    A branch is removed by its units: so it needs at least one that lies in it with all of its tensors. What
    counts is a trial: without the branch the network has to make exactly the calls that are left, on the same
    tensors, the shortcut in place of the sum.

    Args:
        model: Without weights, at full widths.
        run: Its recorded run.
        units: Its units, by name.
        keep: Names of modules that are left alone.
    """
    denied: dict[str, str] = {}
    found = [one for residual in find_residuals(run) for one in _removable(run, residual, units)]
    for one in found:
        reason = _held(one, units, keep)
        if reason:
            denied[one.branch.name] = reason
    left = [one for one in found if one.branch.name not in denied]
    together = _failure(model, run, left)
    while together:
        # Those that fail alone; if none does, all of them.
        reasons = {one.branch.name: _failure(model, run, [one]) for one in left}
        reasons = {name: reason for name, reason in reasons.items() if reason}
        denied |= reasons or {one.branch.name: together for one in left}
        left = [one for one in left if one.branch.name not in denied]
        together = _failure(model, run, left)
    return Depth(left, {f"{name} (as a whole)": reason for name, reason in denied.items()})


def _removable(run: Record, residual: Residual, units: Mapping[str, Unit]) -> list[Removable]:
    """The branch as modules and units; none where no module belongs to it alone."""
    absent, passing = _modules(run, residual)
    if not all(_within(_BODY + call.where, passing) for call in residual.behind):
        # The code around calls it in any case.
        residual = replace(residual, behind=[])
        absent, passing = _modules(run, residual)
    whole = (*absent, *passing)
    inside = tuple(
        name for name, unit in units.items() if all(_within(member.module, whole) for member in unit.members)
    )
    if not whole:
        return []
    first = units[inside[0]].members[0].module if inside else whole[0]
    name = next(part for part in whole if _within(first, [part]))
    return [Removable(Branch(body_name(name), absent, passing), residual, inside)]


def _modules(run: Record, residual: Residual) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The largest modules that do nothing but what the branch does: those inside of it, and others."""
    own, inside = {id(call) for call in residual.calls}, {id(call) for call in residual.inside}
    made = {id(tensor) for call in residual.inside for tensor in call.outputs}
    calls: dict[str, list[Call]] = {}
    for call in Flow(run).calls:
        for name in _around(call.where):
            calls.setdefault(name, []).append(call)
    given: dict[str, list[Tensed | None]] = {}
    for name, tensor in run.entered:
        if name and name not in calls:
            given.setdefault(name, []).append(tensor)
    # Not the lists that the code around goes through itself.
    called = {name for name, _ in run.entered}
    whole = [name for name in calls if name in called and all(id(call) in own for call in calls[name])]
    largest = [name for name in whole if not set(_around(name)[:-1]) & set(whole)]
    absent = [name for name in largest if all(id(call) in inside for call in calls[name])]
    idle = [name for name, tensors in given.items() if all(id(tensor) in made for tensor in tensors)]
    passing = [name for name in largest if name not in absent]
    passing += [name for name in idle if not set(_around(name)) & {*largest, *idle} - {name}]
    return tuple(_BODY + name for name in absent), tuple(_BODY + name for name in passing)


def _around(where: str) -> list[str]:
    """The modules that a module lies in, the outermost first, itself last; the network itself is left out."""
    parts = where.split(".") if where else []
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def _within(module: str, wholes: Iterable[str]) -> bool:
    return any(module == whole or module.startswith(f"{whole}.") for whole in wholes)


def _held(found: Removable, units: Mapping[str, Unit], keep: Sequence[str]) -> str:
    """Why a branch has to stay for others; empty if it has not."""
    whole = (*found.branch.absent, *found.branch.passing)
    if not found.units:
        return "a branch goes with the last channels in it, and none of them can be cut"
    for name in keep:
        if _within(_BODY + name, whole) or any(_within(part, [_BODY + name]) for part in whole):
            return "left alone as asked"
    for name, unit in units.items():
        if name not in found.units and _within(unit.importance, whole):
            return f"it holds the importance factors of {name}"
    return ""


def _failure(model: HostedNetwork, run: Record, gone: Sequence[Removable]) -> str:
    """What goes wrong without some branches; empty if nothing."""
    if not gone:
        return ""
    trial = copy.deepcopy(model)
    try:
        for one in gone:
            take_out(trial, one.branch)
        again = record(trial, model.input_shape, follow=False)
    except Exception as error:  # Whatever the user's own code raises.
        return f"its forward needs it ({(str(error).splitlines() or [type(error).__name__])[0]})"
    expected = _trace(run, [one.residual for one in gone])
    return "" if _trace(again, []) == expected else "its forward does something else without it"


def _trace(run: Record, gone: Sequence[Residual]) -> list[Any]:
    """What a run computes and of what, views left out, without some branches: equal for equal networks."""
    skipped = {id(call) for one in gone for call in (one.sum, *one.behind)}
    shortcut = {id(one.total): one.shortcut for one in gone}
    source: dict[int, Tensed] = {}

    def at(tensor: Tensed) -> Tensed:
        return source.get(id(tensor), tensor)

    for call in run.calls:
        varying = next((tensor for tensor in call.inputs if not tensor.constant), None)
        for tensor in call.outputs:
            if id(tensor) in shortcut:
                source[id(tensor)] = at(shortcut[id(tensor)])
            elif varying is not None and (id(call) in skipped or call.name in FREE.free):
                source[id(tensor)] = at(varying)
    needed = _needed(run, at)
    number = {id(run.input): (-1, 0)}
    trace: list[Any] = []
    for call in run.calls:
        if id(call) in needed:
            number |= {id(tensor): (len(trace), place) for place, tensor in enumerate(call.outputs)}
            inputs = [number.get(id(at(tensor)), "weights") for tensor in call.inputs]
            numbers = [v for v in tree_flatten(list(call.given.values()))[0] if type(v) is float]
            trace.append((call.name, call.where, inputs, [t.shape for t in call.outputs], numbers))
    return [*trace, [number.get(id(at(tensor))) for tensor in run.outputs]]


def _needed(run: Record, at: Any) -> set[int]:
    """Calls that the outputs depend on and that compute more than weights."""
    maker = {id(tensor): call for call in run.calls for tensor in call.outputs}
    needed: set[int] = set()
    waiting = [at(tensor) for tensor in run.outputs]
    while waiting:
        tensor = waiting.pop()
        call = maker.get(id(tensor))
        if call is None or tensor.constant or id(call) in needed:
            continue
        needed.add(id(call))
        waiting += [at(tensor) for tensor in call.inputs]
    return needed

"""Residual branches in what a module calls: `x + f(x)`, found from the sums backwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hwtickets.modules.calls import Call, Record, Tensed, is_constant
from hwtickets.modules.shapes import FREE

#: Activations that change nothing when they run twice.
_CLIPS = ("relu", "relu6", "hardtanh", "clamp", "clamp_min")
#: Calls that leave entries as they are or drop some, so that what was clipped stays clipped.
_PICKS = (*FREE.free, *FREE.ordering, "max_pool2d", "max_pool2d_with_indices", "slice")


@dataclass
class Residual:
    """One residual branch.

    Attributes:
        shortcut: What the branch reads, and what the sum is without it.
        sum: The call that adds the branch to it.
        inside: Calls of the branch.
        behind: The activation behind the sum, where it does nothing without the branch because the shortcut
            went through the same.
    """

    shortcut: Tensed
    sum: Call
    inside: list[Call]
    behind: list[Call] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """Everything that is not computed without the branch."""
        return [*self.inside, self.sum, *self.behind]

    @property
    def total(self) -> Tensed:
        """What the sum writes."""
        return self.sum.outputs[0]


class Flow:
    """Which call makes each tensor of a record, and which ones read it, as far as the outputs depend on it.

    Args:
        record: A recorded run.

    Attributes:
        calls: The calls that count, in order.
        maker: The call behind every tensor, by identity.
        readers: The calls that read every tensor, by identity.
    """

    def __init__(self, record: Record) -> None:
        self.maker = {id(tensor): call for call in record.calls for tensor in call.outputs}
        self.outputs = {id(tensor) for tensor in record.outputs}
        needed = self._needed(record)
        self.calls = [call for call in record.calls if id(call) in needed and not is_constant(call)]
        self.readers: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                self.readers.setdefault(id(tensor), []).append(call)

    def _needed(self, record: Record) -> set[int]:
        needed: set[int] = set()
        waiting = [self.maker[one] for one in self.outputs if one in self.maker]
        while waiting:
            call = waiting.pop()
            if id(call) not in needed:
                needed.add(id(call))
                waiting += [self.maker[id(tensor)] for tensor in call.inputs if id(tensor) in self.maker]
        return needed

    def between(self, start: Tensed, end: Tensed) -> list[Call] | None:
        """The calls that make one tensor of another one and of weights alone; None where there is more."""
        found: dict[int, Call] = {}
        waiting = [end]
        while waiting:
            tensor = waiting.pop()
            if tensor is start or tensor.constant:
                continue
            call = self.maker.get(id(tensor))
            if call is None:
                return None
            if id(call) not in found:
                found[id(call)] = call
                waiting += call.inputs
        return [call for call in self.calls if id(call) in found]


def find_residuals(record: Record) -> list[Residual]:
    """Residual branches that nothing but their sum reads and that hold no other one, in execution order."""
    flow = Flow(record)
    found = [residual for call in flow.calls for residual in _of_sum(flow, call)]
    chosen: list[Residual] = []
    taken: set[int] = set()
    for residual in sorted(found, key=lambda one: len(one.inside)):
        own = {id(call) for call in (*residual.inside, residual.sum)}
        if not own & taken:
            taken |= own
            chosen.append(residual)
    place = {id(call): number for number, call in enumerate(record.calls)}
    return sorted(chosen, key=lambda one: place[id(one.sum)])


def _of_sum(flow: Flow, call: Call) -> Iterator[Residual]:
    varying = [tensor for tensor in call.inputs if not tensor.constant]
    if call.name != "add" or len(varying) != 2:
        return
    if varying[0].shape != varying[1].shape:
        return
    # Of `torch.add(x, y, alpha=a)`, x + a y, only y may vanish.
    for shortcut, end in (varying, varying[::-1])[: 2 if call.given.get("alpha", 1) == 1 else 1]:
        inside = flow.between(shortcut, end)
        if inside and _alone(flow, inside, call):
            yield Residual(shortcut, call, inside, _behind(flow, call, shortcut))
            return


def _alone(flow: Flow, inside: Sequence[Call], total: Call) -> bool:
    """Whether nothing but the branch and its sum reads what the branch computes."""
    own = {id(call) for call in (*inside, total)}
    written = [tensor for call in inside for tensor in call.outputs]
    if any(id(tensor) in flow.outputs for tensor in written):
        return False
    return all(id(reader) in own for tensor in written for reader in flow.readers.get(id(tensor), []))


def _behind(flow: Flow, total: Call, shortcut: Tensed) -> list[Call]:
    following = flow.readers.get(id(total.outputs[0]), [])
    if len(following) != 1 or following[0].name not in _CLIPS or id(total.outputs[0]) in flow.outputs:
        return []
    return following if _clipped(flow, shortcut, following[0]) else []


def _clipped(flow: Flow, tensor: Tensed, clip: Call) -> bool:
    """Whether a tensor went through the same clip already."""
    while id(tensor) in flow.maker:
        call = flow.maker[id(tensor)]
        if call.name == clip.name:
            return _bounds(call.given) == _bounds(clip.given)
        if call.name not in _PICKS:
            return False
        tensor = call.inputs[0]
    return False


def _bounds(given: Mapping[str, object]) -> list[object]:
    return [given.get(name) for name in ("min_val", "max_val", "min", "max")]

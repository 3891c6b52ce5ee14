"""Which scales stand for the channels of a unit: norms on all of its paths, or where a gate belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hwtickets.modules.calls import RECURRENT, Call, Record, Tensed, is_constant
from hwtickets.modules.components import Components
from hwtickets.modules.layers import goes_by_group

_NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
_SUMS = ("add", "sub", "rsub")


@dataclass
class Path:
    """How the channels of a unit run from the layers that make them to those that read them.

    Attributes:
        norms: Scales of the batch norms with a way to a reader that leads through none of the others behind.
        exact: Whether all ways of the channels lead through exactly one of these norms.
        makers: Weights of the layers with a way to a reader without any norm.
        readers: Weights of the layers that read the channels; None for a reader without weights of its own.
    """

    norms: list[str] = field(default_factory=list)
    exact: bool = True
    makers: list[str] = field(default_factory=list)
    readers: list[str | None] = field(default_factory=list)


def paths(record: Record, found: Components, kinds: Sequence[Sequence[int]]) -> list[Path]:
    """The paths of kinds of channels, each given as the components of its channels."""
    kind_of = np.full(int(found.max()) + 1, -1)
    for kind, members in enumerate(kinds):
        kind_of[list(members)] = kind
    carried: dict[int, set[int]] = {}
    calls: list[list[Call]] = [[] for _ in kinds]
    for call in record.calls:
        if is_constant(call):
            continue
        touched: set[int] = set()
        for tensor in [*call.inputs, *call.outputs]:
            if id(tensor) not in carried:
                labels = [found[one.ravel()] for one in tensor.fields]
                carried[id(tensor)] = {int(kind) for own in labels for kind in np.unique(kind_of[own])} - {-1}
            touched |= carried[id(tensor)]
        for kind in touched:
            calls[kind].append(call)
    return [_Followed(own, kind, carried).path for kind, own in enumerate(calls)]


class _Followed:
    """One kind of channels, followed from their makers and back from their readers."""

    def __init__(self, calls: Sequence[Call], kind: int, carried: dict[int, set[int]]) -> None:
        self._kind, self._carried = kind, carried
        self._normed: dict[int, bool] = {}
        self.path = Path()
        for call in calls:
            self._forward(call)
        # Tensors with a way to a reader that leads through no norm, that also was led through none before,
        # and tensors with a way through one.
        self._open: set[int] = set()
        self._bare: set[int] = set()
        self._later: set[int] = set()
        for call in reversed(calls):
            self._back(call)

    def _held(self, tensors: Sequence[Tensed]) -> list[Tensed]:
        return [tensor for tensor in tensors if self._kind in self._carried[id(tensor)]]

    def _forward(self, call: Call) -> None:
        """Whether what comes out was scaled by a norm on every way, products by that of one factor."""
        held = self._held(call.inputs)
        normed = [self._normed.get(id(tensor), False) for tensor in held if not tensor.constant]
        outputs = self._held(call.outputs)
        if normed and (not outputs or _mixes(call)):
            self.path.readers.append(call.weight.parameter if call.weight else None)
            self.path.exact &= all(normed)
        if _scale(call):
            result = True
        elif call.name == "mul":
            result = any(normed)
        else:
            added = call.name in _SUMS and any(tensor.constant for tensor in held)
            result = bool(normed) and all(normed) and not added and not _mixes(call)
        self._normed.update(dict.fromkeys(map(id, outputs), result))

    def _back(self, call: Call) -> None:
        outputs = {id(tensor) for tensor in self._held(call.outputs)}
        inputs = {id(tensor) for tensor in self._held(call.inputs) if not tensor.constant}
        reads, scale = not outputs or _mixes(call), _scale(call)
        if scale and not reads:
            self._later |= inputs
            if outputs & self._open:
                self.path.norms.insert(0, scale)
                self.path.exact &= not outputs & self._later
            return
        if reads or outputs & self._open:
            self._open |= inputs
        if not reads and outputs & self._later:
            self._later |= inputs
        if reads or outputs & self._bare:
            self._bare |= {one for one in inputs if not self._normed.get(one, False)}
        if (reads or not inputs) and outputs & self._bare and call.weight and call.weight.parameter:
            self.path.makers.insert(0, call.weight.parameter)


def _mixes(call: Call) -> bool:
    """Whether every channel that comes out is a sum over those that come in."""
    if call.name == RECURRENT:
        return True
    groups = call.given.get("groups", 1)
    return call.weight is not None and not (groups > 1 and goes_by_group(groups, call.inputs[0].shape[1]))


def _scale(call: Call) -> str | None:
    """The scale of a batch norm, by name."""
    weight = call.given.get("weight") if call.name in _NORMS else None
    return weight.parameter if isinstance(weight, Tensed) else None

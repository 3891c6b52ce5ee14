"""Operators of a recorded module, their sizes still functions of what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hwtickets.modules.calls import Call, Tensed
from hwtickets.modules.forms import Form
from hwtickets.space.operators import Operator, Value
from hwtickets.space.spec import OperatorSpec, sized

#: Fields of a spec that depend on what is kept.
SIZES = ("c_in", "c_out", "groups")


@dataclass
class Step:
    """One deployed operator.

    Attributes:
        name: Unique name, "module/kind".
        block: The part of the network that it belongs to.
        spec: Its spec at full widths.
        forms: Sizes of the spec as functions of what is kept, for those of `SIZES` that change.
        inputs: What it reads.
        output: What it writes.
        out_size: Height and width that it writes.
        channels: Channels that it writes.
        calls: What the module calls for it.
        inside: Units of the branch that it belongs to; it is there as long as all of them have channels.
        instead: Whether it is there only without that branch.
    """

    name: str
    block: str
    spec: OperatorSpec
    forms: dict[str, Form]
    inputs: list[Tensed]
    output: Tensed
    out_size: tuple[int, int]
    channels: Form
    calls: list[Call] = field(default_factory=list)
    inside: tuple[str, ...] = ()
    instead: bool = False
    _known: dict[tuple[int, ...], OperatorSpec] = field(default_factory=dict)

    @property
    def units(self) -> tuple[str, ...]:
        """The units that its sizes depend on, and at least one of those that it vanishes with."""
        sizing = tuple(dict.fromkeys(unit for form in self.forms.values() for unit, _ in form.terms))
        return sizing if not self.inside or set(sizing) & set(self.inside) else (*sizing, self.inside[0])

    @property
    def plain(self) -> bool:
        """Whether nothing was fused into it yet but norms."""
        return self.spec.activation == "none" and not self.spec.residual

    @property
    def takes_sum(self) -> bool:
        """Whether a runtime adds another tensor in it."""
        return self.spec.kind == "conv" and self.plain and (self.spec.groups == 1 or self.spec.depthwise)

    def present(self, widths: Mapping[str, int]) -> bool:
        """Whether it is there at some widths; those of a branch's units are all zero, or none."""
        return all(widths[unit] for unit in self.units if unit in self.inside) != self.instead

    def spec_at(self, widths: Mapping[str, int]) -> OperatorSpec:
        """Its spec at some widths."""
        return self.spec_of(tuple(form.of(widths) for form in self.forms.values()))

    def spec_of(self, sizes: tuple[int, ...]) -> OperatorSpec:
        """Its spec at some sizes, in the order of `forms`."""
        if sizes not in self._known:
            known = {"c_in": self.spec.c_in, "c_out": self.spec.c_out, "groups": self.spec.groups}
            known |= dict(zip(self.forms, sizes, strict=True))
            spec = replace(self.spec, c_in=known["c_in"], c_out=known["c_out"], groups=known["groups"])
            self._known[sizes] = sized(spec, *self.out_size)
        return self._known[sizes]

    def operator(self, widths: Mapping[str, int], names: Mapping[int, str]) -> Operator:
        """The operator at some widths.

        Args:
            widths: Channels kept by unit.
            names: Names of the tensors that it may read, by identity.
        """
        output = Value(self.name, self.channels.of(widths), *self.out_size)
        inputs = tuple(names[id(tensor)] for tensor in self.inputs)
        return Operator(self.name, self.spec_at(widths), self.block, inputs, output)

"""What a module does, call by call: tensors with their labels, and the operations between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hwtickets.modules.labels import Field, Ties, row_of
from hwtickets.modules.layers import Laid

#: What the call of a recurrent layer is named; no operation of torch is.
RECURRENT = "recurrent"


@dataclass(eq=False)
class Tensed:
    """One tensor of a recorded run.

    Attributes:
        shape: Its shape, batch 1.
        fields: Its labels.
        constant: Whether it is the same for every input (weights and what is computed of them alone).
        parameter: Full name of the parameter or buffer that it is, or is made of.
        computed: Whether it was computed from that parameter, rather than laid out anew.
    """

    shape: tuple[int, ...]
    fields: tuple[Field, ...] = ()
    constant: bool = False
    parameter: str | None = None
    computed: bool = False

    @property
    def laid(self) -> Laid:
        """Shape and labels."""
        return Laid(self.shape, self.fields)


@dataclass(eq=False)
class Call:
    """One operation of a recorded run.

    Attributes:
        name: Its ATen name without overload and trailing underscore, e.g. "convolution".
        where: Full name of the module that called it.
        given: Arguments by name; tensors are `Tensed`.
        outputs: What it returned.
        inputs: The tensors among the arguments, in order.
        pointwise: Whether every entry of the result depends on the entries at its place alone.
    """

    name: str
    where: str
    given: dict[str, Any]
    outputs: list[Tensed]
    inputs: list[Tensed] = field(default_factory=list)
    pointwise: bool = False

    @property
    def weight(self) -> Tensed | None:
        """What the inputs are multiplied by, of a convolution or a product of matrices."""
        if self.name in ("convolution", "_convolution"):
            weight: Tensed = self.given["weight"]
            return weight
        return self.inputs[-1] if self.name in ("mm", "addmm") else None


def is_constant(call: Call) -> bool:
    """Whether a call computes of weights alone."""
    return all(tensor.constant for tensor in call.outputs)


@dataclass
class Record:
    """A recorded run.

    Attributes:
        calls: Everything that was computed, in order.
        ties: What is removed together.
        parameters: Tensors by full name, of those that took part.
        producers: For every product with weights, the module and the labels of its output channels.
        weights: Parameters that inputs are multiplied by, and whether that is as they are, in the module that
            owns them alone.
        entered: Modules that ran, each time with the first tensor that they were given.
        input: The example input.
        outputs: What the module returned.
    """

    calls: list[Call] = field(default_factory=list)
    ties: Ties = field(default_factory=Ties)
    parameters: dict[str, Tensed] = field(default_factory=dict)
    producers: list[tuple[str, Field]] = field(default_factory=list)
    weights: dict[str, bool] = field(default_factory=dict)
    entered: list[tuple[str, Tensed | None]] = field(default_factory=list)
    input: Tensed = field(default_factory=lambda: Tensed(()))
    outputs: list[Tensed] = field(default_factory=list)

    def produced(self, call: Call, weight: Tensed) -> None:
        """Notes the output channels of a layer with weights, which lie on dimension 1."""
        if weight.parameter is None:
            return
        own = body_name(weight.parameter.rpartition(".")[0]) == call.where
        self.weights[weight.parameter] = (
            own and not weight.computed and self.weights.get(weight.parameter, True)
        )
        row = row_of(call.outputs[0].fields, 1)
        if row is not None:
            self.producers.append((call.where or "network", row))


def last_layers(record: Record) -> list[str]:
    """The layers with weights whose outputs no other such layer reads on the way to the network's."""
    maker = {id(tensor): call for call in record.calls for tensor in call.outputs}
    found: dict[str, None] = {}
    waiting, seen = list(record.outputs), set()
    while waiting:
        call = maker.get(id(waiting.pop()))
        if call is None or id(call) in seen or is_constant(call):
            continue
        seen.add(id(call))
        if call.weight is not None and call.weight.constant:
            found[call.where] = None
        else:
            waiting += call.inputs
    return [where for where in found if where]


def body_name(name: str) -> str:
    """The name of a module as its author knows it, without the `body.` of the host."""
    return "" if name == "body" else name.removeprefix("body.")

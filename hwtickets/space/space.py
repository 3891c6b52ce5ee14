"""The search space: a supernet's units, their aligned widths, and its operators as a function of them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.space.operators import GraphBuilder, Operator, OperatorGraph, OperatorSpec, Value
from hwtickets.space.units import Unit, find_units
from hwtickets.structure import Structure
from hwtickets.supernets.base import PLAIN, DescribedSupernet, Supernet

Widths = Mapping[str, int]

#: Widths of a unit besides 0, and choices of a block, which are all combinations of its units' widths. Wide
#: units are drawn in coarser steps, and so are those of a block with many units.
MOST_WIDTHS, MOST_CHOICES = 12, 13**3


class SearchSpace:
    """All networks that can be drawn from a supernet that writes its own operators; see `space_of` for any.

    Args:
        model: The supernet, with its full widths.
        name: Name of the supernet.

    Attributes:
        units: Units by name, in execution order.
        blocks: Unit names by searching block.
        input_shape: Channels, height and width (pixels) of one input.
        unprunable: Why some layers are never cut, by name; none in a supernet.
        given: The weights that the user's own module had when the space was made from it, by state-dict name,
            on the CPU; None where there is none.
    """

    #: Whether an operator's cost depends on units of several blocks.
    coupled = False
    unprunable: Mapping[str, str] = {}
    given: Mapping[str, Tensor] | None = None

    def __init__(self, model: Supernet, name: str) -> None:
        self.name = name
        self.input_shape = model.input_shape
        # A copy without weights that keeps its full widths: the supernet itself shrinks during the search.
        self._model: Supernet = copy.deepcopy(model).to("meta")
        assert isinstance(self._model, DescribedSupernet)
        self._describe = self._model.describe
        self.units: dict[str, Unit] = find_units(self._model)
        self.blocks: dict[str, list[str]] = {}
        for unit in self.units.values():
            self.blocks.setdefault(unit.block, []).append(unit.name)
        self._blocks = dict(self._model.searching_blocks())
        recorder = _InputRecorder(*self.input_shape)
        self._describe(recorder, self.dense(), {name: block.forms[0] for name, block in self._blocks.items()})
        self._block_inputs = recorder.first_input

    @staticmethod
    def from_module(
        model: nn.Module, example_inputs: object, keep: Sequence[str] = (), reference: str | None = None
    ) -> SearchSpace:
        """The space of a network of one's own: its units are found, nothing is declared.

        Args:
            model: The network, trained, with one input tensor; it returns one tensor, or several in lists and
                dicts. It is not changed.
            example_inputs: A batch of inputs, or a tuple of it, of any batch size.
            keep: Names of modules that are left alone, with all inside of them; so is the output layer.
            reference: What builds the network in any process, e.g. "mynets.small:build" or "timm:resnet18".
                Without one it lives in this process alone, and its ticket is rebuilt by
                `Ticket.module(build=...)`.

        Raises:
            UsageError: The model is no plain module, the input no tensor, an output no tensor of floating
                point numbers, or a name in `keep` no module.
            HwticketsError: The network cannot be traced; names the part of it.
        """
        from hwtickets.modules import live
        from hwtickets.modules.hosted import HostedNetwork, plain_module

        model = plain_module(model)
        several = example_inputs if isinstance(example_inputs, tuple | list) else [example_inputs]
        if len(several) != 1:
            raise UsageError(
                f"example_inputs holds {len(several)} inputs; a network of one input can be searched: wrap"
                " yours in a module that takes one tensor and splits it, or makes the others itself"
            )
        (first,) = several
        if not isinstance(first, Tensor) or first.dim() < 2:
            raise UsageError(
                f"example_inputs is a {type(example_inputs).__name__}; expected a batch of inputs, e.g."
                " torch.zeros(1, 3, 224, 224)"
            )
        if not first.is_floating_point():
            kind = str(first.dtype).removeprefix("torch.")
            raise UsageError(
                f"example_inputs are {kind}; networks of floating point inputs can be searched: let yours"
                " begin behind the embedding of its words"
            )
        built_by = reference or live.register(model)
        hosted = HostedNetwork(copy.deepcopy(model), tuple(first.shape[1:]), reference=built_by, keep=keep)
        space = space_of(hosted, "module")
        weights = model.state_dict().items()
        space.given = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights}
        return space

    def __str__(self) -> str:
        """Its units with their full widths, and what is never cut with the reason, line by line."""
        shape = "x".join(map(str, self.input_shape))
        lines = [f"{self.name}: inputs of {shape}"]
        lines += [f"outputs: {self.outputs}"] if self.outputs else []
        lines += ["units"]
        for unit in self.units.values():
            vanishes = ", may vanish" if unit.branch or unit.residual else ""
            lines.append(f"  {unit.name}: {unit.width} channels{vanishes}")
        lines += ["never cut"] if self.unprunable else []
        return "\n".join([*lines, *(f"  {layer}: {reason}" for layer, reason in self.unprunable.items())])

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes that the supernet is built with."""
        return self._model.sizes

    @property
    def classes(self) -> int:
        """Outputs of the networks."""
        return self._model.classes

    @property
    def outputs(self) -> Structure | None:
        """What the networks return; None where it is one tensor."""
        return None

    def dense(self) -> dict[str, int]:
        """The full width of every unit."""
        return {name: unit.width for name, unit in self.units.items()}

    def empty(self) -> dict[str, int]:
        """Every unit removed."""
        return dict.fromkeys(self.units, 0)

    def widths_allowed(self, unit: str, alignment: int, limit: int | None = None) -> list[int]:
        """Widths that a unit may be drawn at, ascending.

        Args:
            unit: Name of the unit.
            alignment: Widths are multiples of this, or of a multiple of it in wide units; the limit itself is
                always allowed, and so is 0 where the branch may vanish.
            limit: Channels that are left of the unit; its full width by default.
        """
        limit = self.units[unit].width if limit is None else limit
        units = len(self.blocks[self.units[unit].block])
        most = min(MOST_WIDTHS, round(MOST_CHOICES ** (1 / units)) - 1)
        alignment *= max(1, -(-limit // (alignment * most)))
        smallest = 0 if self.units[unit].branch else min(alignment, limit)
        return sorted({*range(smallest, limit + 1, alignment), limit})

    def step(self, unit: str, alignment: int) -> int:
        """Channels of a unit that are the least whole step of aligned tensors."""
        return alignment

    def forms(self) -> dict[str, list[str]]:
        """The deployed forms of every searching block."""
        return {name: list(block.forms) for name, block in self._blocks.items()}

    def graph(self, widths: Widths, forms: Mapping[str, str] | None = None) -> OperatorGraph:
        """Operators of the deployed network (batch norm folded, activation and add fused).

        Args:
            widths: Channels kept, by unit name.
            forms: Form by block; the block's first deployed one where missing.
        """
        builder = GraphBuilder(*self.input_shape)
        first = {name: block.forms[0] for name, block in self._blocks.items()}
        self._describe(builder, widths, {**first, **(forms or {})})
        return builder.graph

    def block_operators(self, block: str, widths: Widths, form: str) -> list[Operator]:
        """Operators of one block alone; `widths` needs only its own units."""
        x = self._block_inputs[block]
        builder = GraphBuilder(x.channels, x.height, x.width)
        self._blocks[block].describe(builder, block, builder.graph.input, widths, form)
        return builder.graph.operators

    def plain_graph(self, widths: Widths) -> OperatorGraph:
        """Operators that the trained network asks for: what MACs and parameters are counted on."""
        return self.graph(widths, dict.fromkeys(self.blocks, PLAIN))

    def fixed_operators(self) -> list[Operator]:
        """Operators outside the searching blocks, in every network of the space."""
        return [operator for operator in self.graph(self.empty()) if operator.block not in self.blocks]

    def block_widths(self, block: str, alignment: int, limits: Widths | None = None) -> list[dict[str, int]]:
        """All combinations of aligned widths of one block's units."""
        names = self.blocks[block]
        allowed = [self.widths_allowed(name, alignment, limits[name] if limits else None) for name in names]
        return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*allowed)]

    def size(self, alignment: int) -> int:
        """How many networks can be drawn."""
        return math.prod(len(self.widths_allowed(name, alignment)) for name in self.units)


class _InputRecorder(GraphBuilder):
    """Remembers which tensor each block reads first: that is the block's input."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__(channels, height, width)
        self.first_input: dict[str, Value] = {}

    def _append(self, block: str, name: str, spec: OperatorSpec, inputs: list[Value]) -> Value:
        self.first_input.setdefault(block, inputs[0])
        return super()._append(block, name, spec, inputs)


def space_of(model: Supernet, name: str) -> SearchSpace:
    """The search space of any network: of our supernets by their blocks, of hosted ones by what they do.

    Args:
        model: The network, with its full widths.
        name: Name of the supernet; "module" for hosted ones.
    """
    from hwtickets.modules.hosted import HostedNetwork

    if isinstance(model, HostedNetwork):
        from hwtickets.modules.space import ModuleSpace

        return ModuleSpace(model, name)
    return SearchSpace(model, name)

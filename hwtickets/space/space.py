"""The search space: a supernet's units, their aligned widths, and its operators as a function of them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping

from hwtickets.space.operators import GraphBuilder, Operator, OperatorGraph, OperatorSpec, Value
from hwtickets.space.units import Unit, find_units
from hwtickets.supernets.base import PLAIN, Supernet

Widths = Mapping[str, int]

#: Widths of a unit besides 0, and choices of a block, which are all combinations of its units' widths. Wide
#: units are drawn in coarser steps, and so are those of a block with many units.
MOST_WIDTHS, MOST_CHOICES = 12, 13**3


class SearchSpace:
    """All networks that can be drawn from a supernet.

    Args:
        model: The supernet, with its full widths.
        name: Name of the supernet.

    Attributes:
        units: Units by name, in execution order.
        blocks: Unit names by searching block.
        input_shape: Channels, height and width (pixels) of one input.
    """

    def __init__(self, model: Supernet, name: str) -> None:
        self.name = name
        self.input_shape = model.input_shape
        # A copy without weights that keeps its full widths: the supernet itself shrinks during the search.
        self._model = copy.deepcopy(model).to("meta")
        self.units: dict[str, Unit] = find_units(self._model)
        self.blocks: dict[str, list[str]] = {}
        for unit in self.units.values():
            self.blocks.setdefault(unit.block, []).append(unit.name)
        self._blocks = dict(self._model.searching_blocks())
        recorder = _InputRecorder(*self.input_shape)
        self._model.describe(
            recorder, self.dense(), {name: block.forms[0] for name, block in self._blocks.items()}
        )
        self._block_inputs = recorder.first_input

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
        self._model.describe(builder, widths, {**first, **(forms or {})})
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

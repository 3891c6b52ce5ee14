"""What a space costs on a device in several precisions, and what it costs where two of them meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwtickets.costs import AdditiveCost, LatencyCost, size_cost
from hwtickets.costs.additive import lowest_cost
from hwtickets.deploy.onnx_export import block_of
from hwtickets.deploy.parts import Crossing, parts_of
from hwtickets.search.space_profile import all_costs
from hwtickets.space.operators import Operator
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import BlockChoices, PricedSpace, price_space
from hwtickets.sparsity.mixed_space import DROP, MixedPart, MixedSpace
from hwtickets.sparsity.precisions import Border
from hwtickets.tables import LatencyTable, load_table
from hwtickets.tables.skeleton import skeleton_model

_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
#: What each part loses in each precision.
Losses = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Conversions:
    """What it costs to hand a tensor from one precision to another.

    Attributes:
        tensor_ms: For each tensor.
        element_ms: For each of its elements.
        measured: Whether a device said so; else nothing is known and they cost nothing.
    """

    tensor_ms: float = 0.0
    element_ms: float = 0.0
    measured: bool = False

    def border(self, crossing: Crossing) -> Border:
        """A tensor between parts with its price."""
        change_ms = self.tensor_ms + self.element_ms * crossing.elements
        return Border(crossing.producer, crossing.consumers, change_ms)


@dataclass(frozen=True)
class MixedPrices:
    """Prices of one space on one device.

    Attributes:
        space: The search space.
        tables: Latency tables by precision; the first is that of the network as it is trained.
        corrections: Measured over predicted latency of whole networks, by precision.
        conversions: Between them.
    """

    space: SearchSpace
    tables: Mapping[str, LatencyTable]
    corrections: Mapping[str, float]
    conversions: Conversions

    @property
    def precisions(self) -> list[str]:
        """Names of the precisions, that of the trained network first."""
        return list(self.tables)

    @property
    def parts(self) -> list[str]:
        """Names of the parts that have a precision."""
        return [*self.space.blocks, *self._fixed]

    def costs(self, precision: str) -> dict[str, AdditiveCost]:
        """Costs of a network in one precision, by metric; only of what every table knows."""
        return self._costs[precision]

    def lowest(self) -> dict[str, AdditiveCost]:
        """By metric, every operator in the precision that is cheapest for it: no mix costs less."""
        each = list(self._costs.values())
        return {metric: lowest_cost([costs[metric] for costs in each]) for metric in each[0]}

    def mixed_space(
        self, alignment: int, widths: Mapping[str, int], floor: int, losses: Losses, max_drop: float
    ) -> MixedSpace:
        """All choices of every part with their prices.

        Args:
            alignment: Channels of a branch are a multiple of this.
            widths: Channels that are left of every unit.
            floor: Channels that every block keeps at least.
            losses: By part and precision, in the unit of `max_drop`.
            max_drop: What the precisions may cost together.
        """
        priced: dict[str, PricedSpace] = {}
        for precision, costs in self._costs.items():
            one = price_space(self.space, costs, alignment, widths, floor)
            assert isinstance(one, PricedSpace), "spaces of modules are refused before"
            priced[precision] = one
        parts = [
            _stacked(dict(zip(priced, choices, strict=True)), losses)
            for choices in zip(*(one.blocks for one in priced.values()), strict=True)
        ]
        for name, operators in self._fixed.items():
            choices = {precision: self._fixed_choice(name, operators, precision) for precision in priced}
            parts.append(_stacked(choices, losses))
        base = self._costs[self.precisions[0]]
        fixed = {metric: cost.base for metric, cost in base.items()}
        return MixedSpace(parts, {**fixed, DROP: 0.0}, self.borders, max_drop)

    def latency_ms(self, drawn: Allocation) -> float:
        """Predicted latency of a network, its parts in the precisions that were drawn."""
        return sum(self.part_times(drawn).values()) + self._base_ms + self._changes_ms(drawn.precisions)

    def part_times(self, drawn: Allocation) -> dict[str, float]:
        """Predicted time of every part in ms, without conversions."""
        times = {name: self._overhead_ms(drawn.precisions[name]) for name in self._fixed}
        for operator in self.space.graph(drawn.widths, drawn.forms):
            part = self._part(operator)
            cost = self._costs[drawn.precisions[part]]["latency"]
            times[part] = times.get(part, 0.0) + cost.of(operator.spec)
        return times

    @cached_property
    def borders(self) -> list[Border]:
        """Tensors between the parts of the largest network; a part that vanishes hands on what it reads."""
        dense = skeleton_model(self.space.graph(self.space.dense()))
        return [self.conversions.border(one) for one in parts_of(dense, self.space.blocks).crossings]

    def as_dict(self) -> dict[str, Any]:
        """What was measured, JSON-able."""
        return {"corrections": dict(self.corrections), "conversions": vars(self.conversions)}

    @staticmethod
    def restored(space: SearchSpace, folder: Path, runtime: str, saved: Mapping[str, Any]) -> MixedPrices:
        """Prices that `as_dict` gave, with the tables in a folder."""
        corrections: dict[str, float] = saved["corrections"]
        tables = {precision: load_table(folder, runtime, precision) for precision in corrections}
        return MixedPrices(space, tables, corrections, Conversions(**saved["conversions"]))

    @cached_property
    def _costs(self) -> dict[str, dict[str, AdditiveCost]]:
        found = {
            precision: {
                **all_costs(LatencyCost(table, self.corrections[precision])),
                "size": size_cost(_BYTES[precision]),
            }
            for precision, table in self.tables.items()
        }
        shared = [
            metric for metric in found[self.precisions[0]] if all(metric in own for own in found.values())
        ]
        return {precision: {metric: own[metric] for metric in shared} for precision, own in found.items()}

    @cached_property
    def _fixed(self) -> dict[str, list[Operator]]:
        """Operators outside the searching blocks, by part."""
        found: dict[str, list[Operator]] = {}
        for operator in self.space.fixed_operators():
            found.setdefault(self._part(operator), []).append(operator)
        return found

    def _part(self, operator: Operator) -> str:
        return block_of(operator.name, self.space.blocks)

    def _fixed_choice(self, name: str, operators: list[Operator], precision: str) -> BlockChoices:
        costs = {
            metric: np.array([cost.operators(operators)]) for metric, cost in self._costs[precision].items()
        }
        costs["latency"] = costs["latency"] + self._overhead_ms(precision)
        return BlockChoices(name, [], np.zeros((1, 0), dtype=np.int64), [""], costs)

    @property
    def _base_ms(self) -> float:
        return self._costs[self.precisions[0]]["latency"].base

    def _overhead_ms(self, precision: str) -> float:
        """What a precision adds to the cost of a network besides its operators, for each fixed part."""
        return (self._costs[precision]["latency"].base - self._base_ms) / len(self._fixed)

    def _changes_ms(self, chosen: Mapping[str, str]) -> float:
        return sum(border.change_ms * border.changes(chosen) for border in self.borders)


def _stacked(choices: Mapping[str, BlockChoices], losses: Losses) -> MixedPart:
    """The choices of one part in all precisions, one after the other."""
    first = next(iter(choices.values()))
    # Where nothing of a part is left, nothing of it is inexact.
    left = np.any([own.costs["latency"] > 0 for own in choices.values()], axis=0)
    costs = {
        metric: np.concatenate([own.costs[metric] for own in choices.values()]) for metric in first.costs
    }
    own_losses = losses.get(first.block, {})
    costs[DROP] = np.concatenate([left * own_losses.get(precision, 0.0) for precision in choices])
    stacked = replace(
        first,
        widths=np.concatenate([own.widths for own in choices.values()]),
        forms=[form for own in choices.values() for form in own.forms],
        costs=costs,
    )
    return MixedPart(stacked, [precision for precision, own in choices.items() for _ in own.forms])

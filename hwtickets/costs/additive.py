"""Costs that are a sum over the operators of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from hwtickets.space.operators import Operator, OperatorGraph, OperatorSpec


@dataclass(frozen=True)
class AdditiveCost:
    """`base + sum over operators`.

    Attributes:
        metric: "latency", "macs", "params", "size" or "energy"; the metric of the budgets that it answers.
        unit: Unit of the values: "ms", "MACs", "parameters", "bytes" or "mJ".
        base: What a network without operators costs.
        of: Cost of one operator.
        deployed: Whether the deployed form of a block counts (latency, size) or its plain form (MACs,
            parameters: zero-padded kernels are not work that the network asks for).
        of_many: Cost of each of many operators, where that is faster than one after the other.
    """

    metric: str
    unit: str
    base: float
    of: Callable[[OperatorSpec], float]
    deployed: bool = True
    of_many: Callable[[Sequence[OperatorSpec]], Sequence[float]] | None = None

    def each(self, specs: Sequence[OperatorSpec]) -> Sequence[float]:
        """Cost of each operator."""
        return [self.of(spec) for spec in specs] if self.of_many is None else self.of_many(specs)

    def operators(self, operators: Iterable[Operator]) -> float:
        """Cost of some operators, without the base."""
        return sum(self.of(operator.spec) for operator in operators)

    def graph(self, graph: OperatorGraph) -> float:
        """Cost of a whole network."""
        return self.base + self.operators(graph)


def macs_cost() -> AdditiveCost:
    """Multiply-accumulates at batch 1, every block in its plain form."""
    return AdditiveCost("macs", "MACs", 0.0, lambda spec: float(spec.macs), deployed=False)


def params_cost() -> AdditiveCost:
    """Weights and biases, batch norm folded, every block in its plain form."""
    return AdditiveCost("params", "parameters", 0.0, lambda spec: float(spec.params), deployed=False)


def size_cost(bytes_per_weight: int = 4) -> AdditiveCost:
    """Bytes of the deployed weights.

    Args:
        bytes_per_weight: 4 for fp32.
    """
    return AdditiveCost("size", "bytes", 0.0, lambda spec: float(spec.params * bytes_per_weight))


def lowest_cost(costs: Sequence[AdditiveCost]) -> AdditiveCost:
    """Of several costs of one metric the lowest, operator by operator."""

    def of_many(specs: Sequence[OperatorSpec]) -> list[float]:
        return [min(each) for each in zip(*(cost.each(specs) for cost in costs), strict=True)]

    base = min(cost.base for cost in costs)
    return replace(costs[0], base=base, of=lambda spec: of_many([spec])[0], of_many=of_many)

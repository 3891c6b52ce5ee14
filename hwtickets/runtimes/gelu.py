"""GELU as ONNX writes it before opset 20: several operators, which ONNX Runtime fuses in some orders only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

#: What bends the input of both kinds, and the operators that ONNX Runtime makes of them; these have no name.
KINDS = {"Gelu": "Erf", "BiasGelu": "Erf", "FastGelu": "Tanh"}
#: What lies between x and the risen tensor, and how many of them do at most.
_STEPS = {"Add", "Div", "Erf", "Mul", "Pow", "Tanh"}
_MOST_STEPS = 8
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


@dataclass(frozen=True)
class Gelu:
    """One GELU of a graph: x * 0.5 * risen, with risen = 1 + erf(x / sqrt(2)), or tanh of a polynomial.

    Attributes:
        bent: "Erf" or "Tanh".
        steps: Names of its operators, in the graph's order.
        inner: The product of two of the three factors.
        outer: The product of that with the third one.
        factors: Names of x, the half and the risen tensor.
    """

    bent: str
    steps: tuple[str, ...]
    inner: onnx.NodeProto
    outer: onnx.NodeProto
    factors: tuple[str, str, str]


class _Makers:
    """Who makes, reads and bends the tensors of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self._makers = {name: node for node in self.nodes for name in node.output}
        self._scalars = {
            tensor.name: float(numpy_helper.to_array(tensor).reshape(()))
            for tensor in graph.initializer
            if tensor.data_type in _FLOATS and all(size == 1 for size in tensor.dims)
        }
        self._readers = Counter(name for node in self.nodes for name in node.input)
        self._readers.update(output.name for output in graph.output)

    def gelu(self, outer: onnx.NodeProto) -> Gelu | None:
        """The GELU that ends in a product."""
        for place, name in enumerate(outer.input):
            inner = self._makers.get(name)
            if inner is None or inner.op_type != "Mul" or self._readers[name] != 1:
                continue
            factors = (*inner.input, outer.input[1 - place])
            half = next((factor for factor in factors if self._scalars.get(factor) == 0.5), None)
            risen = next((factor for factor in factors if self._bent(factor) is not None), None)
            bent = self._bent(risen) if risen else None
            if half is None or risen is None or bent is None:
                continue
            (x,) = (factor for factor in factors if factor not in (half, risen))
            inside = self._between(x, risen, _MOST_STEPS)
            if not any(x in node.input for node in inside.values()):
                continue
            names = {inner.name, outer.name, *inside}
            steps = tuple(node.name for node in self.nodes if node.name in names)
            return Gelu(bent.op_type, steps, inner, outer, (x, half, risen))
        return None

    def _bent(self, name: str) -> onnx.NodeProto | None:
        """The Erf or Tanh that a tensor is 1 more than."""
        sum_ = self._makers.get(name)
        if sum_ is None or sum_.op_type != "Add" or 1.0 not in map(self._scalars.get, sum_.input):
            return None
        makers = [self._makers[name] for name in sum_.input if name in self._makers]
        return next((node for node in makers if node.op_type in KINDS.values()), None)

    def _between(self, x: str, name: str, most: int) -> dict[str, onnx.NodeProto]:
        """Operators on the way back from a tensor to x, by name."""
        node = self._makers.get(name)
        if name == x or node is None or node.op_type not in _STEPS or most == 0:
            return {}
        found = {node.name: node}
        for read in node.input:
            found |= self._between(x, read, most - 1)
        return found


def find_gelus(graph: onnx.GraphProto) -> list[Gelu]:
    """Every GELU that is written in operators, in the graph's order."""
    if not any(node.op_type in KINDS.values() for node in graph.node):
        return []
    makers = _Makers(graph)
    found = [makers.gelu(node) for node in makers.nodes if node.op_type == "Mul"]
    return [gelu for gelu in found if gelu is not None]


def let_gelus_fuse(graph: onnx.GraphProto) -> None:
    """Orders the products of every GELU as ONNX Runtime's fusions want them: two for erf and for tanh.

    PyTorch's exporter writes x * (0.5 * risen), which none of them knows. Half of a number is exact, so the
    result stays the same to the last bit. Other orders are left as they are.
    """
    for gelu in find_gelus(graph):
        x, half, risen = gelu.factors
        if x in gelu.inner.input:
            continue
        first, last = (risen, half) if gelu.bent == "Erf" else (half, risen)
        product = gelu.inner.output[0]
        gelu.inner.input[:] = [x, first]
        gelu.outer.input[:] = [product, last]


def named_gelus(graph: onnx.GraphProto, executed: Mapping[str, str]) -> dict[str, str]:
    """Names for the GELUs that ONNX Runtime fused: those of the operators that they begin with.

    The runtime names them after nothing in the graph. They are taken in its order, which is that of the
    execution wherever no branches compute the same.

    Args:
        graph: As it was given to the runtime.
        executed: Kinds of the executed nodes by the runtime's names, in order.

    Returns:
        New names by the runtime's; empty where their number is not that of the graph.
    """
    found: dict[str, str] = {}
    gelus = [gelu for gelu in find_gelus(graph) if not set(gelu.steps) & set(executed)]
    for bent in set(KINDS.values()):
        nameless = [name for name, kind in executed.items() if KINDS.get(kind) == bent and "/" not in name]
        begins = [gelu.steps[0] for gelu in gelus if gelu.bent == bent]
        if len(nameless) == len(begins):
            found.update(zip(nameless, begins, strict=True))
    return found

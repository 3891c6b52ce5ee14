"""Layer by layer: whether TensorRT really runs a sparse kernel, and what dense and sparse measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hwtickets.deploy.layers import Layer
from hwtickets.deploy.two_four import WeightSparsity, filled, weight_sparsity
from hwtickets.runtimes.bench import Bench, Model
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.tensorrt_layers import EngineLayer, nodes_in_name
from hwtickets.runtimes.tensorrt_record import EngineBench, EngineRecord

SPARSE, DENSE, UNTOLD = "sparse", "dense", "not told"
_TWO_FOUR = "2:4"


@dataclass(frozen=True)
class LayerAccount:
    """What became of one weight.

    Attributes:
        node: The operator.
        shape: Of its weight, as stored.
        pattern: "2:4", "dense", or why it cannot take 2:4.
        kernel: "sparse" if a sparse kernel was chosen, "dense" if not, "not told" where that is not known.
        name: Of the kernel; "" where it is not told.
        dense_ms: Time of its layer with dense weights; None where that was not measured.
        sparse_ms: Time of its layer with the weights as they are.
    """

    node: str
    shape: tuple[int, ...]
    pattern: str
    kernel: str
    name: str = ""
    dense_ms: float | None = None
    sparse_ms: float | None = None

    @property
    def ratio(self) -> float | None:
        """Time of the sparse layer in that of the dense one."""
        return self.sparse_ms / self.dense_ms if self.dense_ms and self.sparse_ms is not None else None


def sparse_account(
    weights: Sequence[WeightSparsity],
    record: EngineRecord,
    dense: Mapping[str, NodeTime] | None = None,
    sparse: Mapping[str, NodeTime] | None = None,
) -> list[LayerAccount]:
    """One entry for every weight, in order of execution.

    A kernel counts as sparse if the builder's log names its layer among those it picked a sparse
    implementation for, or the kernel's own name says so. That the weights are eligible proves nothing:
    TensorRT times both and takes the faster one.

    Args:
        weights: Of the network that was built.
        record: Of its engine.
        dense: Times of the dense twin's layers by their first ONNX nodes.
        sparse: Times of the network's own layers, likewise.
    """
    layers = {node: layer for layer in record.layers or () for node in layer.nodes}
    return [
        LayerAccount(
            weight.node,
            weight.shape,
            _TWO_FOUR if weight.holds else weight.obstacle or "dense",
            _kernel(weight.node, layers.get(weight.node), record),
            layers[weight.node].kernel if weight.node in layers else "",
            _time_ms(dense, layers.get(weight.node), weight.node),
            _time_ms(sparse, layers.get(weight.node), weight.node),
        )
        for weight in weights
    ]


def sparse_account_on(bench: Bench, model: Model, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The account of a network on a device, its layers timed beside those of its dense twin.

    Args:
        bench: Where to run.
        model: The network; holds 2:4 or not.
        inputs: What it is run on.

    Returns:
        Entries as of `sparse_account`, for JSON; empty where the bench builds no engines or no weight holds
        2:4.
    """
    weights = weight_sparsity(model)
    if not isinstance(bench, EngineBench) or not any(weight.holds for weight in weights):
        return []
    record = bench.engine(model).record
    dense, sparse = (bench.node_times(each, inputs) for each in (filled(model), model))
    account = sparse_account(weights, record, dense, sparse)
    return [{**asdict(entry), "shape": list(entry.shape), "ratio": entry.ratio} for entry in account]


def with_sparse(
    layers: Sequence[Layer], bench: Bench, model: Model, inputs: Mapping[str, Array]
) -> list[Layer]:
    """The layers of a network with what `sparse_account_on` tells of them; its arguments."""
    told = {entry["node"]: _fields(entry) for entry in sparse_account_on(bench, model, inputs)}
    return [replace(layer, **told.get(layer.name, {})) for layer in layers]


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a layer that an entry tells."""
    kernel = {} if entry["kernel"] == UNTOLD else {"sparse": entry["kernel"] == SPARSE}
    if entry["pattern"] != _TWO_FOUR:
        return kernel
    times = {key: entry[key] for key in ("dense_ms", "sparse_ms")}
    return {**kernel, **times, "sparse_ratio": entry["ratio"]}


def _kernel(node: str, layer: EngineLayer | None, record: EngineRecord) -> str:
    picked = record.sparsity.picked if record.sparsity else ()
    if any(node == name or node in nodes_in_name(name) for name in picked):
        return SPARSE
    if layer is not None and layer.name in picked:
        return SPARSE
    if layer is not None and layer.sparse is not None:
        return SPARSE if layer.sparse else DENSE
    return DENSE if record.sparsity is not None else UNTOLD


def _time_ms(times: Mapping[str, NodeTime] | None, layer: EngineLayer | None, node: str) -> float | None:
    """Time of the layer that a node is part of; layers go by their first nodes."""
    if times is None:
        return None
    names = (node, *(layer.nodes if layer else ()))
    return next((times[name].mean_ms for name in names if name in times), None)

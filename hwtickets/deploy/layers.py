"""Where the time of a deployed network goes, layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwtickets.deploy.deployed_graph import DeployedGraph, DeployedOperator, Shape
from hwtickets.deploy.numerics import Array
from hwtickets.deploy.onnx_export import block_of
from hwtickets.files import reading
from hwtickets.runtimes import Bench
from hwtickets.runtimes.profiling import NodeTime, original_name
from hwtickets.runtimes.tensorrt_layers import EngineLayer

OVERHEAD = "session overhead"
#: Changes of type or layout that a runtime puts in, under the name of the tensor that they change.
_INSERTED = ("Cast", "ReorderInput", "ReorderOutput", "Transpose", "QuantizeLinear", "DequantizeLinear")
_CHOOSE_SPARSE = ("tensorrt", "trtexec")
#: What profiling can have added to a node.
_MOST_ADDED_MS = 0.003


@dataclass(frozen=True)
class Layer:
    """What a runtime executes as one.

    Attributes:
        name: Of the ONNX operator that does most of the work; the runtime's own for what it put in.
        operator: What it executes, e.g. "QLinearConv".
        block: The searching block that it belongs to, else "stem", "head"; `OVERHEAD` for what is no layer.
        module: The module of the deployed network that it was exported from; "" for what the runtime put in.
        fused: The ONNX operators in it, in order, e.g. ("Conv", "Relu").
        input_shape: Of what it reads.
        output_shape: Of what it writes.
        macs: Multiply-accumulates.
        size_bytes: What it reads (weights too) and writes, each once.
        precision: "fp32", "fp16", "bf16", "int8"; "" where it is not known.
        kernel: The runtime's implementation; "" where it does not tell.
        sparse: Whether that is one for 2:4 sparse weights; None where it is not known.
        time_ms: Its part of the latency.
        share: The same as a share of the latency.
        dense_ms: Where its weights hold 2:4: its time in the profile of the network without these zeros.
        sparse_ms: The same with them. All three are None where there is no such mask, or no measurement.
        sparse_ratio: `sparse_ms` in `dense_ms`.
    """

    name: str
    operator: str
    block: str
    module: str
    fused: tuple[str, ...]
    input_shape: Shape
    output_shape: Shape
    macs: int
    size_bytes: int
    precision: str
    kernel: str
    sparse: bool | None
    time_ms: float
    share: float
    dense_ms: float | None = None
    sparse_ms: float | None = None
    sparse_ratio: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields, JSON-able."""
        return asdict(self)


def layer_times(
    model: Path | bytes, blocks: Collection[str], bench: Bench, image: Array, latency_ms: float
) -> list[Layer]:
    """Layers in order of execution, the runtime's own overhead last; their times sum to the latency.

    Profiling adds about the same time to every node, 1 to 2 us: what the profile exceeds the latency by is
    taken off in equal parts of 3 us at most. More than that is a machine that was slower meanwhile, and taken
    off in proportion. Where the profile stays below the latency, the rest is overhead.

    Args:
        model: The ONNX network.
        blocks: Names of the searching blocks.
        bench: Where to run.
        image: One input.
        latency_ms: The network's measured latency without profiling.

    Raises:
        NoProfileError: The runtime does not tell the times of its operators.
    """
    content = _content(model)
    times = bench.node_times(model, {"x": image})
    graph = DeployedGraph(content, blocks)
    executed = _executed(times, graph)
    groups = graph.fused(executed.values())
    corrected = _corrected(times, latency_ms)
    layers: list[Layer] = []
    for node, time in times.items():
        inside = [graph.operators[name] for name in groups.get(executed.get(node, ""), [])]
        share = corrected[node] / latency_ms if latency_ms > 0 else 0.0
        before = layers[-1].block if layers else "stem"
        layers.append(
            _layer(node, time, inside, _block(node, inside, blocks, before), corrected[node], share, bench)
        )
    rest_ms = max(0.0, round(latency_ms - sum(corrected.values()), 9))
    return [*layers, _overhead(rest_ms, rest_ms / latency_ms if latency_ms > 0 else 0.0)]


def by_block(layers: Sequence[Layer]) -> list[dict[str, float | str]]:
    """The time of every block in ms, in order of execution."""
    totals: dict[str, float] = {}
    for layer in layers:
        totals[layer.block] = totals.get(layer.block, 0.0) + layer.time_ms
    return [{"name": name, "ms": ms} for name, ms in totals.items()]


def _executed(times: Mapping[str, NodeTime], graph: DeployedGraph) -> dict[str, str]:
    """The operator that each executed node is named after, where it is one."""
    found: dict[str, str] = {}
    for node, time in times.items():
        name = graph.named(original_name(node))
        if name is None or name in found.values():
            continue
        if time.op_type not in _INSERTED or time.op_type == graph.operators[name].origin.op_type:
            found[node] = name
    return found


def _corrected(times: Mapping[str, NodeTime], latency_ms: float) -> dict[str, float]:
    """Times without what profiling adds; together no more than the latency."""
    excess_ms = max(0.0, sum(time.mean_ms for time in times.values()) - latency_ms) / max(1, len(times))
    added_ms = min(excess_ms, _MOST_ADDED_MS)
    less = {node: max(0.0, time.mean_ms - added_ms) for node, time in times.items()}
    scale = min(1.0, latency_ms / max(sum(less.values()), 1e-12))
    return {node: time_ms * scale for node, time_ms in less.items()}


def _layer(
    node: str,
    time: NodeTime,
    inside: Sequence[DeployedOperator],
    block: str,
    time_ms: float,
    share: float,
    bench: Bench,
) -> Layer:
    main = max(inside, key=lambda operator: operator.macs) if inside else None
    runtime, built = bench.fingerprint.get("runtime", ""), bench.fingerprint.get("precision", "")
    precision = main.precision if main else ""
    return Layer(
        name=main.origin.name if main else original_name(node),
        operator=time.op_type or (main.origin.op_type if main else ""),
        block=block,
        module=main.origin.module if main else "",
        fused=tuple(operator.origin.op_type for operator in inside),
        input_shape=inside[0].input_shape if inside else (),
        output_shape=inside[-1].output_shape if inside else (),
        macs=sum(operator.macs for operator in inside),
        size_bytes=_moved(inside),
        # A device of another precision builds it from a graph in fp32.
        precision=built if precision == "fp32" and built else precision,
        kernel=time.kernel,
        sparse=_sparse(time.kernel, runtime),
        time_ms=time_ms,
        share=share,
    )


def _moved(inside: Sequence[DeployedOperator]) -> int:
    """Bytes read and written; what fused operators hand on to one another never leaves the processor."""
    total = sum(operator.size_bytes for operator in inside)
    handed = sum(2 * operator.written_bytes for operator in inside[:-1])
    return max(0, total - handed)


def _sparse(kernel: str, runtime: str) -> bool | None:
    told = EngineLayer("", kernel=kernel).sparse
    return False if told is None and not runtime.startswith(_CHOOSE_SPARSE) else told


def _block(node: str, inside: Sequence[DeployedOperator], blocks: Collection[str], before: str) -> str:
    if inside:
        return inside[0].origin.block
    # Nodes that the runtime inserted have no scope of ours: they serve what ran before.
    name = original_name(node)
    return block_of(name, blocks) if "/" in name else before


def _overhead(time_ms: float, share: float) -> Layer:
    return Layer(OVERHEAD, "", OVERHEAD, "", (), (), (), 0, 0, "", "", None, time_ms, share)


def _content(model: Path | bytes) -> bytes:
    if isinstance(model, bytes):
        return model
    with reading(model, "model"):
        return model.read_bytes()

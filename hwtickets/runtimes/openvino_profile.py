"""Where the time of a network goes in OpenVINO, from its own counters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import openvino as ov

from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.openvino import bind, compiled
from hwtickets.runtimes.profiling import WARMUP_RUNS, NodeTime

#: A counter is a mean over all runs since the network was built, in whole microseconds rounded down, as every
#: run's time is before. Half a microsecond is lost each time, on the average.
_ROUNDING_US = 0.5
#: A mean cannot be freed of a run in which another program had the processor. So the network is built anew
#: several times, and of the passes that were disturbed least the median counts.
_PASSES, _MOST_PASSES = 3, 9
#: Share of the wall clock that the thread did not have, in a pass that counts as undisturbed.
_UNDISTURBED = 0.02
#: An operator in 8 bits is called after its own node, not after those around it.
_CASTS = ("QuantizeLinear", "DequantizeLinear")


def node_times(
    model: bytes | Path, inputs: Mapping[str, Array], runs: int, options: Mapping[str, Any]
) -> dict[str, NodeTime]:
    """Times of the nodes that OpenVINO executes, after its own fusions, by their first ONNX node.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        inputs: What it is run on.
        runs: Runs that count, after 20 a pass that do not.
        options: Of the plugin.

    Returns:
        In order of execution. Changes of the memory layout are called "Reorder_<number>".
    """
    passes: list[_Pass] = []
    while len(passes) < _MOST_PASSES and sum(one.lost < _UNDISTURBED for one in passes) < _PASSES:
        network = compiled(model, {**options, "PERF_COUNT": True})
        passes.append(_counted(network, inputs, -(-runs // _PASSES)))
    owners = _owners(network, model)
    kept = [_by_owner(one.nodes, owners) for one in sorted(passes, key=lambda one: one.lost)[:_PASSES]]
    return {
        name: NodeTime(node.kind, float(np.median([one[name].time_us for one in kept])) / 1e3, node.kernel)
        for name, node in kept[0].items()
        if all(name in one for one in kept)
    }


class _Executed(NamedTuple):
    """A node that is executed, with its mean time over some runs."""

    name: str
    kind: str
    kernel: str
    time_us: float


class _Pass(NamedTuple):
    """What one built network showed, and the share of the wall clock that its thread did not have."""

    nodes: list[_Executed]
    lost: float


def _by_owner(nodes: list[_Executed], owners: Mapping[str, str]) -> dict[str, _Executed]:
    """Nodes by what they are called outside; several parts of one ONNX node are added up."""
    found: dict[str, _Executed] = {}
    for node in nodes:
        name = owners.get(node.name, f"{node.kind}_{len(found)}")
        before = found[name].time_us if name in found else 0.0
        found[name] = found.get(name, node)._replace(time_us=before + node.time_us)
    return found


def _counted(network: ov.CompiledModel, inputs: Mapping[str, Array], runs: int) -> _Pass:
    """Every node that is executed, its time without the first runs."""
    request = network.create_infer_request()
    bind(request, inputs)
    request.infer()
    # The first run is the longest: later a node of less than a microsecond looks as if it were not executed.
    first = [node for node in _counters(request) if node.time_us > 0]
    for _ in range(WARMUP_RUNS - 1):
        request.infer()
    before = {node.name: node.time_us for node in _counters(request)}
    begin_s, thread_s = time.perf_counter(), time.thread_time()
    for _ in range(runs):
        request.infer()
    lost = 1 - (time.thread_time() - thread_s) / (time.perf_counter() - begin_s)
    after = {node.name: node.time_us for node in _counters(request)}
    nodes = [
        node._replace(time_us=_since(before[node.name], WARMUP_RUNS, after[node.name], WARMUP_RUNS + runs))
        for node in first
    ]
    return _Pass(nodes, lost)


def _since(before_us: float, runs_before: int, after_us: float, runs_after: int) -> float:
    """Mean of the runs between two readings of a mean."""
    total_before, total_after = (
        (mean + _ROUNDING_US) * count for mean, count in ((before_us, runs_before), (after_us, runs_after))
    )
    return max(0.0, (total_after - total_before) / (runs_after - runs_before)) + _ROUNDING_US


def _counters(request: ov.InferRequest) -> list[_Executed]:
    """Every node with its mean time since the network was built, in order of execution."""
    return [
        _Executed(entry.node_name, entry.node_type, entry.exec_type, entry.real_time.total_seconds() * 1e6)
        for entry in request.get_profiling_info()
    ]


def _owners(network: ov.CompiledModel, model: bytes | Path) -> dict[str, str]:
    """The first ONNX node of every node that is executed; those that OpenVINO put in are missing."""
    proto = onnx.load(model) if isinstance(model, Path) else onnx.load_model_from_string(model)
    # OpenVINO calls the last node after the output, and a part of a node "<node>/<part>".
    known = {output: node.name for node in proto.graph.node for output in node.output}
    known |= {node.name: node.name for node in proto.graph.node}
    casts = {node.name for node in proto.graph.node if node.op_type in _CASTS}
    owners = {}
    for node in network.get_runtime_model().get_ordered_ops():
        made_of = str(node.get_rt_info()["originalLayersNames"].value).split(",")
        parts = [known.get(name) or known.get(name.rpartition("/")[0]) for name in made_of]
        found = sorted((part for part in parts if part), key=casts.__contains__)
        if found:
            owners[node.get_friendly_name()] = found[0]
    return owners

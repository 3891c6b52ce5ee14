"""Networks that are timed in 8 bits are in 8 bits; all others are what they were."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from hwtickets.devices import get_device, open_bench
from hwtickets.errors import DeviceError
from hwtickets.progress import Progress
from hwtickets.runtimes.onnxruntime import load
from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.measure import Journal, profile_networks
from hwtickets.tables.sampling import Space, corner_networks
from hwtickets.tables.skeleton import random_inputs, skeleton_model
from hwtickets.tables.skeleton_precision import timed_model


@pytest.fixture
def graph(space: Space) -> OperatorGraph:
    return corner_networks(space)[0]


def _kinds(model: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_model_from_string(model).graph.node}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_other_precisions_are_built_by_the_runtime(graph: OperatorGraph, precision: str) -> None:
    fingerprint = {"runtime": "trtexec 10.3", "precision": precision}
    assert timed_model(graph, fingerprint, 3) == skeleton_model(graph, 3)


@pytest.mark.parametrize(("runtime", "kind"), [("onnxruntime 1.27", "UINT8"), ("trtexec 10.3", "INT8")])
def test_8_bits_are_in_the_graph_as_the_runtime_wants_them(
    graph: OperatorGraph, runtime: str, kind: str
) -> None:
    model = timed_model(graph, {"runtime": runtime, "precision": "int8"})
    proto = onnx.load_model_from_string(model)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    zero_points = [weights[node.input[2]] for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    assert {tensor.data_type for tensor in zero_points} == {onnx.TensorProto.DataType.Value(kind)}
    assert (
        load(model).run(random_inputs(graph))[0].shape
        == load(skeleton_model(graph)).run(random_inputs(graph))[0].shape
    )


def test_the_cpu_is_profiled_in_8_bits_and_every_operator_gets_its_time(
    graph: OperatorGraph, tmp_path: Path
) -> None:
    with open_bench(get_device("cpu"), "int8") as bench, Progress(quiet=True).stage("profile") as stage:
        assert bench.fingerprint["precision"] == "int8"
        found = profile_networks([graph], bench, Journal(tmp_path / "journal.jsonl", {}), stage)
        nodes = bench.node_times(timed_model(graph, bench.fingerprint), random_inputs(graph), 2)
    assert "QLinearConv" in {node.op_type for node in nodes.values()}
    assert {spec.kind for spec in found} >= {"conv", "linear"}


def test_a_precision_that_no_graph_of_a_device_can_have_is_refused() -> None:
    with pytest.raises(DeviceError, match="cpu cannot be measured at bf16, only at fp32, int8"):
        open_bench(get_device("cpu"), "bf16")

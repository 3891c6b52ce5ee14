from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwtickets.runtimes import node_times
from hwtickets.runtimes.gelu import find_gelus, let_gelus_fuse
from hwtickets.runtimes.onnxruntime import session_options

_SHAPE = [1, 6, 32]


def _network(*bent: str) -> onnx.ModelProto:
    """GELUs in a row as PyTorch's exporter writes them, products with weights around each."""
    constants = {"half": 0.5, "one": 1.0, "root": math.sqrt(2), "three": 3.0, "cubic": 0.044715}
    constants["scale"] = math.sqrt(2 / math.pi)
    weights = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32) / 4
    tensors = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    tensors.append(numpy_helper.from_array(weights, "weights"))
    nodes, x = [], "x"

    def add(step: str, *inputs: str) -> str:
        name = f"block/{len(nodes)}_{step}"
        nodes.append(helper.make_node(step, list(inputs), [name], name=name))
        return name

    for kind in bent:
        x = add("MatMul", x, "weights")
        if kind == "Erf":
            bend = add("Erf", add("Div", x, "root"))
        else:
            cube = add("Mul", "cubic", add("Pow", x, "three"))
            bend = add("Tanh", add("Mul", "scale", add("Add", x, cube)))
        x = add("Mul", x, add("Mul", "half", add("Add", bend, "one")))
    nodes.append(helper.make_node("MatMul", [x, "weights"], ["y"], name="end/MatMul"))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, _SHAPE) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "gelus", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _run(model: onnx.ModelProto, optimised: Path | None) -> np.ndarray:
    options = session_options(1)
    if optimised is None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    else:
        options.optimized_model_filepath = str(optimised)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal(_SHAPE).astype(np.float32) * 3
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(("bent", "fused"), [("Erf", "Gelu"), ("Tanh", "FastGelu")])
def test_gelus_become_one_operator_and_compute_the_same(bent: str, fused: str, tmp_path: Path) -> None:
    network = _network(bent, bent)
    before = _run(network, None)
    _run(network, tmp_path / "before.onnx")
    let_gelus_fuse(network.graph)
    np.testing.assert_array_equal(_run(network, None), before)
    np.testing.assert_allclose(_run(network, tmp_path / "after.onnx"), before, atol=1e-6)
    kinds = {
        name: [node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node]
        for name in ("before", "after")
    }
    assert fused not in kinds["before"] and kinds["after"].count(fused) == 2
    assert not {"Erf", "Tanh", "Mul"} & set(kinds["after"])


def test_a_second_time_changes_nothing() -> None:
    network = _network("Erf", "Tanh")
    let_gelus_fuse(network.graph)
    once = network.SerializeToString()
    let_gelus_fuse(network.graph)
    assert network.SerializeToString() == once
    assert [gelu.bent for gelu in find_gelus(network.graph)] == ["Erf", "Tanh"]


def test_one_that_begins_with_half_of_its_input_is_found_and_left_as_it_is() -> None:
    network = _network("Erf")
    nodes = {node.name: node for node in network.graph.node}
    # (0.5 * x) comes first: what it reads must not be computed later.
    half, last = nodes["block/4_Mul"], nodes["block/5_Mul"]
    half.input[:], last.input[:] = ["block/0_MatMul", "half"], ["block/4_Mul", "block/3_Add"]
    network.graph.node.remove(half)
    network.graph.node.insert(1, half)
    before = network.SerializeToString()
    let_gelus_fuse(network.graph)
    assert len(find_gelus(network.graph)) == 1 and network.SerializeToString() == before
    onnx.checker.check_model(network)


def test_products_that_are_no_gelu_are_left_alone() -> None:
    network = _network("Erf", "Tanh")
    for node in network.graph.node:
        node.input[:] = ["root" if name == "one" else name for name in node.input]
    before = network.SerializeToString()
    let_gelus_fuse(network.graph)
    assert find_gelus(network.graph) == [] and network.SerializeToString() == before


def test_a_half_that_others_read_too_is_left_alone() -> None:
    network = _network("Erf")
    network.graph.output.append(
        helper.make_tensor_value_info("block/4_Mul", TensorProto.FLOAT, _SHAPE),
    )
    assert find_gelus(network.graph) == []


def test_a_profile_names_what_was_fused_after_the_network() -> None:
    network = _network("Erf", "Tanh", "Erf")
    x = {"x": np.zeros(_SHAPE, np.float32)}
    apart = node_times(network.SerializeToString(), x, runs=2)
    assert not {"Gelu", "FastGelu"} & {time.op_type for time in apart.values()}
    let_gelus_fuse(network.graph)
    found = node_times(network.SerializeToString(), x, runs=2)
    fused = {name: time.op_type for name, time in found.items() if time.op_type.endswith("Gelu")}
    # The first operator of each.
    assert fused == {"block/1_Div": "Gelu", "block/7_Pow": "FastGelu", "block/16_Div": "Gelu"}

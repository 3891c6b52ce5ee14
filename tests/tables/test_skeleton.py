from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load
from hwtickets.runtimes.profiling import node_times
from hwtickets.space.operators import GraphBuilder, OperatorGraph, OperatorSpec
from hwtickets.tables.sampling import Space, corner_networks
from hwtickets.tables.skeleton import random_inputs, skeleton_model


def test_every_deployed_form_runs_and_has_the_classifiers_shape(space: Space) -> None:
    for graph in corner_networks(space):
        session = load(skeleton_model(graph))
        assert session.run(session.random_inputs())[0].shape == (1, 4)


def test_nodes_are_named_after_their_operators(space: Space) -> None:
    graph = space.graph(space.dense())
    model = onnx.load_from_string(skeleton_model(graph))
    onnx.checker.check_model(model)
    owners = {node.name.rpartition("/")[0] for node in model.graph.node}
    assert owners == {operator.name for operator in graph}


def test_a_residual_is_added_before_the_activation() -> None:
    builder = GraphBuilder(4, 6, 6)
    x = builder.graph.input
    builder.conv("b", "conv", x, 4, 1, activation="relu", residual=x)
    model = onnx.load_from_string(skeleton_model(builder.graph))
    assert [node.op_type for node in model.graph.node] == ["Conv", "Add", "Relu"]
    assert "x" in model.graph.node[1].input


def test_weights_follow_the_seed(space: Space) -> None:
    graph = space.graph(space.dense())
    assert skeleton_model(graph, 1) == skeleton_model(graph, 1) != skeleton_model(graph, 2)


def test_odd_sizes_and_strides_give_the_sizes_of_the_graph() -> None:
    builder = GraphBuilder(3, 7, 9)
    x = builder.conv("b", "conv", builder.graph.input, 5, 5, stride=2)
    builder.add("b", "add", [x, x])
    session = load(skeleton_model(builder.graph))
    assert session.run(session.random_inputs())[0].shape == (1, 5, 4, 5)


@pytest.mark.parametrize(("kind", "size"), [("resize", (5, 11)), ("resize", (3, 4)), ("nearest", (14, 18))])
def test_a_resize_computes_what_training_does(kind: str, size: tuple[int, int]) -> None:
    builder = GraphBuilder(3, 7, 9)
    builder.resize("b", "resize", builder.graph.input, *size, kind)
    x = random_inputs(builder.graph)
    (actual,) = load(skeleton_model(builder.graph)).run(x)
    mode = {"resize": "bilinear", "nearest": "nearest"}[kind]
    expected = F.interpolate(torch.from_numpy(x["x"]), size, mode=mode)
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-5)


def test_a_sum_with_activation_and_an_activation_alone() -> None:
    builder = GraphBuilder(3, 7, 9)
    x = builder.graph.input
    builder.relu("b", "relu", builder.add("b", "add", [x, x], "relu"))
    inputs = random_inputs(builder.graph)
    (actual,) = load(skeleton_model(builder.graph)).run(inputs)
    np.testing.assert_allclose(actual, np.maximum(2 * inputs["x"], 0))


def test_nothing_to_run_and_unknown_operators_are_refused() -> None:
    builder = GraphBuilder(3, 8, 8)
    with pytest.raises(HwticketsError, match="without operators"):
        skeleton_model(builder.graph)
    builder._append("b", "fft", OperatorSpec("fft", 3, 3), [builder.graph.input])
    with pytest.raises(HwticketsError, match="operator b/fft: the kind 'fft' cannot be timed"):
        skeleton_model(builder.graph)


def _conv_net(*specs: OperatorSpec) -> OperatorGraph:
    """Operators in a row from an image of 16 channels, each reading the one before."""
    builder = GraphBuilder(16, 12, 10)
    value = builder.graph.input
    for number, spec in enumerate(specs):
        value = builder._append("b", f"op{number}", spec, [value, value] if spec.residual else [value])
    return builder.graph


@pytest.mark.parametrize(
    "spec",
    [
        OperatorSpec("conv", 16, 8, 1, kernel_width=7, height=12, width=10),
        OperatorSpec("conv", 16, 8, 3, height=12, width=10, out_height=10, out_width=8),
        OperatorSpec("conv", 16, 8, 2, 2, height=12, width=10),
        OperatorSpec("conv", 16, 8, 3, height=12, width=10, dilation=3),
        OperatorSpec("conv", 16, 16, 3, 1, 4, 12, 10, "gelu", True),
        OperatorSpec("deconv", 16, 8, 2, 2, height=12, width=10, out_height=24, out_width=20),
        OperatorSpec("deconv", 16, 8, 3, 2, height=12, width=10, out_height=24, out_width=20),
        OperatorSpec("maxpool", 16, 16, 3, 2, height=12, width=10),
        OperatorSpec("maxpool", 16, 16, 3, 2, height=12, width=10, out_height=5, out_width=4),
        OperatorSpec("avgpool", 16, 16, 3, height=12, width=10),
        OperatorSpec("batchnorm", 16, 16, height=12, width=10, activation="relu"),
        OperatorSpec("groupnorm", 16, 16, groups=4, height=12, width=10),
        OperatorSpec("mul", 16, 16, height=12, width=10),
        OperatorSpec("add", 16, 16, height=12, width=10),
        OperatorSpec("other", 16, 16, height=12, width=10),
        OperatorSpec("other", 16, 4, height=12, width=10),
        OperatorSpec("copy", 16, 16, height=12, width=10),
        OperatorSpec("copy", 8, 8, height=12, width=10),
        OperatorSpec("copy", 20, 20, height=12, width=10),
        *(
            OperatorSpec("activation", 16, 16, height=12, width=10, activation=name)
            for name in ("relu6", "silu", "gelu", "gelu_tanh", "mish", "prelu", "elu", "hswish", "leakyrelu")
        ),
    ],
    ids=lambda spec: f"{spec.kind}-{spec.activation}-{spec.c_out}-{spec.kernel}-{spec.out_height}",
)
def test_operators_on_images_have_the_size_that_the_graph_says(spec: OperatorSpec) -> None:
    session = load(skeleton_model(_conv_net(spec)))
    assert session.run(session.random_inputs())[0].shape == (1, spec.c_out, *spec.out_size)


@pytest.mark.parametrize(("activation", "fused"), [("gelu", "Gelu"), ("gelu_tanh", "FastGelu")])
def test_a_gelu_is_one_operator_as_in_an_exported_network(activation: str, fused: str) -> None:
    alone = OperatorSpec("activation", 16, 16, height=12, width=10, activation=activation)
    graph = _conv_net(alone, OperatorSpec("conv", 16, 16, height=12, width=10))
    found = node_times(skeleton_model(graph), random_inputs(graph), runs=1)
    assert [node.op_type for node in found.values()].count(fused) == 1
    assert not {"Erf", "Tanh"} & {node.op_type for node in found.values()}


@pytest.mark.parametrize(
    "spec",
    [
        OperatorSpec("linear", 16, 24, height=120, activation="gelu"),
        OperatorSpec("matmul", 16, 24, height=30, width=4),
        OperatorSpec("layernorm", 16, 16, height=120),
        OperatorSpec("softmax", 16, 16, height=120),
        OperatorSpec("attention", 16, 16, height=30, width=4, groups=2),
        OperatorSpec("attention", 16, 16, height=120, groups=4, hidden=30),
        OperatorSpec("product", 16, 8, height=30, groups=4),
    ],
    ids=lambda spec: f"{spec.kind}-{spec.width}-{spec.hidden}",
)
def test_operators_on_rows_follow_and_precede_images(spec: OperatorSpec) -> None:
    out_h, out_w = spec.out_size
    turn = OperatorSpec("copy", 16, 16, height=120)
    back = OperatorSpec("copy", spec.c_out, spec.c_out, height=out_h, width=out_w)
    last = OperatorSpec("conv", spec.c_out, 3, height=out_h, width=out_w)
    session = load(skeleton_model(_conv_net(turn, spec, back, last)))
    in_a_row = out_w == 1
    assert session.run(session.random_inputs())[0].shape == (1, 3, out_h, out_w)[: 3 if in_a_row else 4]


@pytest.mark.parametrize(("width", "sides"), [(1, [5]), (2, [5, 1])])
def test_a_convolution_along_a_row_slides_along_one_axis(width: int, sides: list[int]) -> None:
    spec = OperatorSpec("conv", 16, 8, 5, 2, height=30, width=width, kernel_width=1)
    model = onnx.load_from_string(skeleton_model(_conv_net(spec)))
    (node,) = [node for node in model.graph.node if node.op_type == "Conv"]
    attributes = {attribute.name: list(attribute.ints) for attribute in node.attribute}
    assert attributes["kernel_shape"] == sides
    session = load(model.SerializeToString())
    assert session.run(session.random_inputs())[0].shape == (1, 8, 15, 1)[: 2 + len(sides)]


def test_attention_computes_what_training_does() -> None:
    builder = GraphBuilder(6, 5, 1)
    x = builder.graph.input
    spec = OperatorSpec("attention", 6, 6, height=5, groups=2)
    builder._append("b", "attention", spec, [x, x, x])
    inputs = random_inputs(builder.graph)
    (actual,) = load(skeleton_model(builder.graph)).run(inputs)
    heads = torch.from_numpy(inputs["x"]).reshape(1, 5, 2, 3).transpose(1, 2)
    expected = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).reshape(1, 5, 6)
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-5)


def test_one_tensor_may_hold_queries_keys_and_values_and_small_ones_are_broadcast() -> None:
    builder = GraphBuilder(16, 6, 5)
    rows = builder._append("b", "turn", OperatorSpec("copy", 16, 16, height=30), [builder.graph.input])
    qkv = builder._append("b", "qkv", OperatorSpec("linear", 16, 24, height=30), [rows])
    attention = OperatorSpec("attention", 8, 8, height=30, groups=2)
    y = builder._append("b", "attention", attention, [qkv])
    gate = builder.pool("b", "gate", y)
    builder._append("b", "mul", OperatorSpec("mul", 8, 8, height=30), [gate, y])
    session = load(skeleton_model(builder.graph))
    assert session.run(session.random_inputs())[0].shape == (1, 30, 8)


def test_every_tensor_that_nobody_reads_is_an_output() -> None:
    builder = GraphBuilder(4, 6, 6)
    side = builder.conv("b", "side", builder.graph.input, 2)
    builder.conv("b", "last", builder.graph.input, 3)
    model = onnx.load_from_string(skeleton_model(builder.graph))
    assert [output.name for output in model.graph.output] == ["y", side.name]

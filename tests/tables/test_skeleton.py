from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load
from hwtickets.space.operators import GraphBuilder, OperatorSpec
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

from __future__ import annotations

import onnx
import pytest

from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load
from hwtickets.space.operators import GraphBuilder, OperatorSpec
from hwtickets.tables.sampling import Space, corner_networks
from hwtickets.tables.skeleton import skeleton_model


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


def test_nothing_to_run_and_unknown_operators_are_refused() -> None:
    builder = GraphBuilder(3, 8, 8)
    with pytest.raises(HwticketsError, match="without operators"):
        skeleton_model(builder.graph)
    builder._append("b", "fft", OperatorSpec("fft", 3, 3), [builder.graph.input])
    with pytest.raises(HwticketsError, match="operator b/fft: the kind 'fft' cannot be timed"):
        skeleton_model(builder.graph)

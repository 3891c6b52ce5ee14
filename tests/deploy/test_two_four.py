from __future__ import annotations

import numpy as np
import onnx
import pytest

from hwtickets.deploy.quantization import TENSORRT, Quantizer
from hwtickets.deploy.two_four import filled, pruned, weight_sparsity
from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load
from hwtickets.runtimes.precision import at_precision
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model


@pytest.fixture(scope="module")
def network() -> bytes:
    """A stem, a depthwise and a wide convolution, a classifier."""
    builder = GraphBuilder(3, 8, 8)
    x = builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
    x = builder.conv("body", "depthwise", x, 16, 3, groups=16)
    x = builder.conv("body", "wide", x, 32, 3, activation="relu")
    builder.linear("head", "classifier", builder.pool("head", "pool", x), 4)
    return skeleton_model(builder.graph)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)


def _by_node(model: bytes) -> dict[str, tuple[str, bool]]:
    return {entry.node.split("_")[0]: (entry.obstacle, entry.holds) for entry in weight_sparsity(model)}


def test_weights_say_what_keeps_them_from_the_pattern(network: bytes) -> None:
    found = {entry.node: entry for entry in weight_sparsity(network)}
    obstacles = [entry.obstacle for entry in found.values()]
    assert obstacles == [
        "input channels a filter: 3, not a multiple of 4",
        "depthwise: one input channel a filter",
        "",
        "",
    ]
    assert not any(entry.holds for entry in found.values())


def test_pruning_leaves_two_of_four_inputs_where_it_can(network: bytes) -> None:
    found = weight_sparsity(pruned(network))
    assert [entry.holds for entry in found] == [False, False, True, True]
    assert [entry.zeros for entry in found[2:]] == [0.5, 0.5]
    wide = next(
        tensor
        for tensor in onnx.load_model_from_string(pruned(network)).graph.initializer
        if tensor.name == found[2].weight
    )
    groups = onnx.numpy_helper.to_array(wide).reshape(32, 4, 4, 3, 3) != 0
    assert (groups.sum(2) == 2).all()


def test_the_larger_two_of_four_stay(network: bytes) -> None:
    before, after = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_model_from_string(model).graph.initializer}
        for model in (network, pruned(network))
    )
    name = weight_sparsity(network)[2].weight
    kept = after[name] != 0
    np.testing.assert_array_equal(after[name][kept], before[name][kept])
    groups, chosen = (np.moveaxis(each, 1, -1).reshape(-1, 4) for each in (np.abs(before[name]), kept))
    largest = np.where(chosen, -np.inf, groups).max(1)
    assert (np.where(chosen, groups, np.inf).min(1) >= largest).all()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_pattern_survives_the_precision(network: bytes, images: np.ndarray, precision: str) -> None:
    model = pruned(network)
    if precision == "fp16":
        model = at_precision(model, "fp16")
    else:
        model = Quantizer(model, TENSORRT, images).quantized()
    assert [entry.holds for entry in weight_sparsity(model)] == [False, False, True, True]


def test_the_dense_twin_has_no_zeros_and_the_same_shape(network: bytes, images: np.ndarray) -> None:
    twin = filled(pruned(network))
    assert [entry.zeros for entry in weight_sparsity(twin)] == [0, 0, 0, 0]
    assert load(twin).run({"x": images[:1]})[0].shape == load(network).run({"x": images[:1]})[0].shape


def test_a_dense_network_is_its_own_twin(network: bytes) -> None:
    assert onnx.load_model_from_string(filled(network)) == onnx.load_model_from_string(network)


def test_a_damaged_model_is_one_line() -> None:
    with pytest.raises(HwticketsError, match="the given model"):
        weight_sparsity(b"no model")

"""The same network for several images at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwtickets.deploy.batches import FixedBatchError, at_batch
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.quantization import X86, Quantizer
from hwtickets.runtimes import load


@pytest.fixture(scope="module")
def images(run_folder: Path) -> np.ndarray:
    return read_bundle(run_folder / "bundle").samples.inputs[:8]


@pytest.fixture(scope="module")
def exact(run_folder: Path) -> bytes:
    return (run_folder / "bundle" / "model.onnx").read_bytes()


def _outputs_one_by_one(model: bytes, images: np.ndarray) -> np.ndarray:
    session = load(model)
    return np.concatenate([session.run({"x": image[None]})[0] for image in images])


def test_a_network_for_one_image_becomes_one_for_eight(exact: bytes, images: np.ndarray) -> None:
    outputs = load(at_batch(exact, 8, images, "fp32")).run({"x": images})[0]
    assert outputs.shape == (8, 10)
    np.testing.assert_allclose(outputs, _outputs_one_by_one(exact, images), rtol=1e-4, atol=1e-5)


def test_so_does_one_in_8_bits(exact: bytes, images: np.ndarray) -> None:
    quantized = Quantizer(exact, X86, images).quantized()
    assert load(at_batch(quantized, 3, images, "int8")).run({"x": images[:3]})[0].shape == (3, 10)


def test_more_images_than_there_are_samples_repeat_them(exact: bytes, images: np.ndarray) -> None:
    assert load(at_batch(exact, 20, images, "fp32")).random_inputs()["x"].shape[0] == 20


def test_a_free_batch_becomes_a_fixed_one(exact: bytes, images: np.ndarray) -> None:
    proto = onnx.load_model_from_string(at_batch(exact, 2, images, "fp32"))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in proto.graph.node:
        if node.op_type == "Reshape":
            shape = helper.make_tensor("free", TensorProto.INT64, [2], [-1, 32])
            proto.graph.initializer.append(shape)
            node.input[1] = "free"
    assert load(at_batch(proto.SerializeToString(), 4, images, "fp32")).run({"x": images[:4]})[0].shape == (
        4,
        10,
    )


def _mixing_network() -> bytes:
    """Adds a constant to the mean over all images: with a batch it computes something else."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], "mean", axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["d"], "difference"),
        helper.make_node("Add", ["d", "one"], ["y"], "add"),
    ]
    return _model(nodes, [1, 1, 12, 12], [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])])


def _fixed_network() -> bytes:
    """Always answers one row."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, -1])
    flat = helper.make_node("Reshape", ["x", "held"], ["f"], "flat")
    held = helper.make_node("Identity", ["shape"], ["held"], "held")
    mean = helper.make_node("Relu", ["f"], ["y"], "relu")
    return _model([held, flat, mean], [1, 144], [shape])


def _model(nodes: list[onnx.NodeProto], out: list[int], constants: list[onnx.TensorProto]) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 12, 12])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, out)
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


@pytest.mark.parametrize("model", [_mixing_network(), _fixed_network()], ids=["mixing", "fixed"])
def test_a_graph_that_has_its_batch_built_in_is_one_line(model: bytes, images: np.ndarray) -> None:
    with pytest.raises(FixedBatchError, match=r"has its batch of 1 built in .*--dynamic-batch") as failure:
        at_batch(model, 4, images, "fp32")
    assert "\n" not in str(failure.value)

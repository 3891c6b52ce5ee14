from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from hwtickets.cli.main import run
from hwtickets.deploy.onnx_export import write_onnx
from hwtickets.deploy.opsets import at_opset, opset_of
from hwtickets.deploy.precision import Half
from hwtickets.deploy.quantization import TENSORRT, Quantizer
from hwtickets.deploy.runnable import lacking_operators, require_runnable
from hwtickets.errors import DeviceError, UsageError
from hwtickets.runtimes import load
from hwtickets.runtimes.precision import at_precision

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@pytest.mark.parametrize("precision", TYPES)
def test_every_tensor_between_the_ends_is_in_half_the_bits(
    exact: bytes, precision: str, tmp_path: Path
) -> None:
    """Strongly typed: the types are in the graph, so no builder may choose them."""
    write_onnx(at_precision(exact, precision), tmp_path / "half.onnx", {})
    graph = onnx.load(tmp_path / "half.onnx").graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    casts = [node for node in graph.node if node.op_type == "Cast"]
    others = [node for node in graph.node if node.op_type != "Cast"]
    ends = {value.name for value in (*graph.input, *graph.output)}
    assert len(casts) == 2 and len(others) > 10
    assert {name for node in casts for name in (*node.input, *node.output)} > ends == {"x", "y"}
    floats = {
        types[name]
        for node in others
        for name in (*node.input, *node.output)
        if types[name] != TensorProto.INT64
    }
    assert floats == {TYPES[precision]}
    assert {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)} == {
        TensorProto.FLOAT
    }


def test_bfloat16_computes_nearly_the_same(exact: bytes) -> None:
    """By ONNX's own reference, since ONNX Runtime cannot."""
    inputs = load(exact).random_inputs()
    (expected,) = load(exact).run(inputs)
    (actual,) = ReferenceEvaluator(onnx.load_model_from_string(at_precision(exact, "bf16"))).run(None, inputs)
    assert actual.dtype == np.float32
    assert 0 < np.abs(actual - expected).max() < 5e-2 * np.abs(expected).max()


@pytest.mark.parametrize("precision", TYPES)
def test_a_graph_that_has_its_precision_keeps_it(exact: bytes, precision: str) -> None:
    half = at_precision(exact, precision)
    assert at_precision(half, "fp16") == half == at_precision(half, "bf16")


def test_scales_of_a_resize_stay_fp32(tmp_path: Path) -> None:
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    shapes = {"x": [1, 2, 3, 3], "y": [1, 2, 6, 6]}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], "head/0_Resize", mode="linear")
    graph = helper.make_graph([node], "one", [x], [y], [scales])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    write_onnx(at_precision(proto.SerializeToString(), "bf16"), tmp_path / "half.onnx", {})
    (kept,) = onnx.load(tmp_path / "half.onnx").graph.initializer
    assert kept.data_type == TensorProto.FLOAT


def test_bfloat16_is_written_for_others_and_refused_by_onnx_runtime(
    ticket_folder: Path, exact: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = Half("bf16", "trtexec").converted(exact)
    assert opset_of(model) == 22
    asked = ["export", str(ticket_folder), "--precision", "bf16", "--output-dir", str(tmp_path / "bundle")]
    assert run(asked) == 4
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ONNX Runtime on this CPU cannot run this network: Conv in bf16 (")
    assert "Gemm in bf16 (classifier/" in error and "Relu in bf16" in error
    assert error.endswith("nearest: fp16; export with --precision fp16")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_bfloat16_cannot_be_stepped_down(exact: bytes) -> None:
    with pytest.raises(UsageError, match=r"needs opset 22 .*so not --opset 17; choose fp32, fp16 or int8"):
        at_opset(at_precision(exact, "bf16"), 17)


def test_half_precision_can_be_stepped_down(exact: bytes) -> None:
    half, _ = Half("fp16", "onnxruntime").converted(exact)
    lowered = at_opset(half, 17)
    inputs = load(half).random_inputs()
    np.testing.assert_allclose(load(lowered).run(inputs)[0], load(half).run(inputs)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_half_precision_that_would_end_the_runtime_is_refused(batch: int | str) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 8, 2])
    weight = onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], "tokens/0_Transpose", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t", "w"], ["y"], "tokens/1_MatMul"),
    ]
    graph = helper.make_graph(nodes, "tokens", [x], [y], [weight])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model = proto.SerializeToString()
    assert Half("fp16", "trtexec").converted(model)
    if batch == 1:
        assert Half("fp16", "onnxruntime").converted(model)
        return
    with pytest.raises(
        DeviceError, match=r"MatMul in fp16 with a free batch \(tokens/1_MatMul\); nearest: fp32"
    ):
        Half("fp16", "onnxruntime").converted(model)


def test_an_operator_from_elsewhere_is_named(exact: bytes) -> None:
    model = onnx.load_model_from_string(exact)
    last = model.graph.node[-1]
    model.graph.node.append(helper.make_node("Sharpen", ["inner"], ["y"], "head/99_Sharpen", domain="acme"))
    model.opset_import.append(helper.make_opsetid("acme", 1))
    last.output[0] = "inner"
    (lacking,) = lacking_operators(model.SerializeToString())
    assert (lacking.operator, lacking.nodes) == ("acme.Sharpen in fp32", ["head/99_Sharpen"])
    assert lacking.nearest is None
    with pytest.raises(
        DeviceError, match=r"acme\.Sharpen in fp32 \(head/99_Sharpen\), nearest: none; choose"
    ):
        require_runnable(model.SerializeToString())
    assert lacking_operators(exact) == []


@pytest.mark.parametrize(
    ("precision", "opset"),
    [("fp32", 18), ("fp32", 17), ("fp16", 18), ("fp16", 17), ("int8", 18), ("int8", 17), ("bf16", None)],
)
def test_the_parser_of_tensorrt_accepts(
    exact: bytes, precision: str, opset: int | None, tmp_path: Path
) -> None:
    """NVIDIA's own, of TensorRT-RTX: it parses on machines without a GPU."""
    trt = pytest.importorskip("tensorrt_rtx", reason="pip install 'hwtickets[tensorrt-rtx]'")
    images = np.random.default_rng(0).standard_normal((8, 1, 12, 12)).astype(np.float32)
    quantized = precision == "int8"
    model = Quantizer(exact, TENSORRT, images).quantized() if quantized else at_precision(exact, precision)
    write_onnx(at_opset(model, opset), tmp_path / "model.onnx", {"task": "any"})
    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(0)
    parser = trt.OnnxParser(network, logger)
    accepted = parser.parse((tmp_path / "model.onnx").read_bytes())
    assert accepted, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    assert network.num_inputs == network.num_outputs == 1

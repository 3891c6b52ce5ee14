from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwtickets.cli.main import run
from hwtickets.deploy.onnx_export import write_onnx
from hwtickets.deploy.opsets import at_opset, opset_of
from hwtickets.deploy.precision import Bf16, Fp16
from hwtickets.deploy.quantization import TENSORRT, X86, Quantizer
from hwtickets.deploy.runnable import lacking_operators, require_runnable
from hwtickets.errors import DeviceError, NumericsError, UsageError
from hwtickets.progress import Progress
from hwtickets.runtimes import load, local_runtime
from hwtickets.runtimes.half import require_safe_in_half
from hwtickets.runtimes.precision import at_precision
from hwtickets.tasks.task import Task

QUIET = Progress(quiet=True)
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
    assert opset_of(at_precision(exact, "bf16")) == 22
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
    half = at_precision(exact, "fp16")
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
    half = at_precision(proto.SerializeToString(), "fp16")
    if batch == 1:
        require_safe_in_half(half)
        return
    with pytest.raises(
        DeviceError, match=r"MatMul in fp16 with a free batch \(tokens/1_MatMul\); nearest: fp32"
    ):
        require_safe_in_half(half)


def test_an_operator_from_elsewhere_is_named(exact: bytes) -> None:
    model = onnx.load_model_from_string(exact)
    last = model.graph.node[-1]
    model.graph.node.append(helper.make_node("Sharpen", ["inner"], ["y"], "head/99_Sharpen", domain="acme"))
    model.opset_import.append(helper.make_opsetid("acme", 1))
    last.output[0] = "inner"
    runtime = local_runtime("onnxruntime", 1, "fp32")
    (lacking,) = lacking_operators(model.SerializeToString(), runtime)
    assert (lacking.operator, lacking.nodes) == ("acme.Sharpen in fp32", ["head/99_Sharpen"])
    assert lacking.nearest is None
    with pytest.raises(
        DeviceError,
        match=r"^cpu cannot run .*: acme\.Sharpen in fp32 \(head/99_Sharpen\), nearest: none; choose",
    ):
        require_runnable(model.SerializeToString(), runtime, "cpu")
    assert lacking_operators(exact, runtime) == []
    require_runnable(exact, runtime, "cpu")


def test_what_a_runtime_here_does_not_load_is_not_written(
    ticket_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--precision", "int8", "--max-drop", "100", "--device", "cpu-pytorch"]
    assert run(["export", str(ticket_folder), *asked, "--output-dir", str(tmp_path / "bundle")]) == 4
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: device cpu-pytorch cannot run this network: ")
    assert "QuantizeLinear (" in error and error.endswith("nearest: fp32; export with --precision fp32")
    assert not list(tmp_path.iterdir()), "nothing half-written"


@pytest.fixture(scope="module")
def swamped(exact: bytes, tiny_task: Task) -> bytes:
    """A network that knows something, its outputs so far from zero that 16 bits do not tell them apart."""
    proto = onnx.load_model_from_string(exact)
    gemm = next(node for node in proto.graph.node if node.op_type == "Gemm")
    seen = onnx.ModelProto()
    seen.CopyFrom(proto)
    seen.graph.output.append(helper.make_empty_tensor_value_info(gemm.input[0]))
    images, targets = next(iter(tiny_task.validation_batches(200)))
    session = load(seen.SerializeToString())
    features = np.concatenate([session.run({"x": image[None]})[1] for image in images.contiguous().numpy()])
    fitted = np.linalg.lstsq(
        np.pad(features, ((0, 0), (0, 1)), constant_values=1), np.eye(10)[targets], 1e-2
    )[0]
    for tensor in proto.graph.initializer:
        if tensor.name in gemm.input[1:]:
            values = fitted[-1] if len(tensor.dims) == 1 else fitted[:-1].T
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    gemm.output[0] = "near"
    proto.graph.initializer.append(numpy_helper.from_array(np.array(5e3, np.float32), "far"))
    proto.graph.node.append(helper.make_node("Add", ["near", "far"], ["y"], "classifier/99_Add"))
    return bytes(proto.SerializeToString())


def test_operators_that_half_precision_hurts_stay_in_fp32(swamped: bytes, tiny_task: Task) -> None:
    model, said = Fp16("onnxruntime", tiny_task, 1.0, QUIET).converted(swamped)
    assert said["score"] >= said["score_fp32"] - 1.0 and said["score_fp32"] > 30
    assert "classifier/99_Add" in said["kept_fp32"] and len(said["kept_fp32"]) < said["operators"] / 2
    weights = onnx.load_model_from_string(model).graph.initializer
    assert {TensorProto.FLOAT16, TensorProto.FLOAT} <= {tensor.data_type for tensor in weights}


def test_bfloat16_that_loses_too_much_is_refused(swamped: bytes, tiny_task: Task) -> None:
    with pytest.raises(
        NumericsError, match=r"^bf16 loses too much: .* left, .* needed; allow more \(--max-drop"
    ):
        Bf16("trtexec", tiny_task, 1.0, QUIET).converted(swamped)
    _, said = Bf16("trtexec", tiny_task, 100.0, QUIET).converted(swamped)
    assert said["score"] < said["score_fp32"]


@pytest.mark.parametrize(
    ("precision", "opset", "ir_version"),
    [("fp32", 18, 8), ("fp32", 17, 8), ("fp16", 18, 8), ("int8", 18, 8), ("bf16", None, 10)],
)
def test_the_format_of_the_file_is_the_one_of_its_opset(
    exact: bytes, precision: str, opset: int | None, ir_version: int, tmp_path: Path
) -> None:
    """ONNX Runtime 1.16, which the runners ask for, reads opset 18 but no format above IR 9."""
    images = np.random.default_rng(0).standard_normal((8, 1, 12, 12)).astype(np.float32)
    quantized = precision == "int8"
    model = Quantizer(exact, X86, images).quantized() if quantized else at_precision(exact, precision)
    assert onnx.load_model_from_string(model).ir_version == ir_version
    write_onnx(at_opset(model, opset), tmp_path / "model.onnx", {})
    assert onnx.load(tmp_path / "model.onnx").ir_version == ir_version


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

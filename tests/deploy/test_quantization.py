from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwtickets import api
from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.quantization import TENSORRT, X86, X86_NARROW, Quantizer, recipe_for
from hwtickets.deploy.sensitivity import Lowering, lowered_within
from hwtickets.errors import HwticketsError, NumericsError, UsageError
from hwtickets.progress import Progress
from hwtickets.runtimes import load

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def images(ticket_folder: Path) -> np.ndarray:
    with np.load(ticket_folder / "samples.npz") as samples:
        return samples["inputs"][:24]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def quantizer(exact: bytes, images: np.ndarray) -> Quantizer:
    return Quantizer(exact, X86, images)


def _outputs(model: bytes, images: np.ndarray) -> np.ndarray:
    session = load(model)
    return np.concatenate([session.run({"x": image[None]})[0] for image in images])


def _in_int8(model: bytes) -> int:
    """How many operators with weights read them through DequantizeLinear."""
    graph = onnx.load_model_from_string(model).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    weighted = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return sum(made.get(node.input[1]) == "DequantizeLinear" for node in weighted)


def test_an_8_bit_network_computes_nearly_the_same_in_a_third_of_the_bytes(
    exact: bytes, images: np.ndarray, quantizer: Quantizer
) -> None:
    whole = quantizer.quantized()
    expected, actual = _outputs(exact, images), _outputs(whole, images)
    assert 0 < np.abs(actual - expected).max() < 0.1 * np.abs(expected).max()
    assert _in_int8(whole) == len(quantizer.nodes)


def test_operators_can_stay_in_fp32(exact: bytes, images: np.ndarray, quantizer: Quantizer) -> None:
    first, *others = quantizer.nodes
    assert _in_int8(quantizer.quantized([first])) == len(others)
    assert _in_int8(quantizer.quantized(quantizer.nodes)) == 0


def test_tensorrt_takes_no_quantized_bias_and_no_offset(exact: bytes, images: np.ndarray) -> None:
    model = onnx.load_model_from_string(Quantizer(exact, TENSORRT, images).quantized())
    initializers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    offsets = [
        initializers[node.input[2]]
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    ]
    assert offsets and all(offset.dtype == np.int8 and not offset.any() for offset in offsets)
    assert not any(values.dtype == np.int32 and values.ndim == 1 for values in initializers.values())


def test_weights_take_seven_bits_where_products_are_added_up_in_sixteen(
    exact: bytes, images: np.ndarray
) -> None:
    assert recipe_for("trtexec", {"avx2"}) == TENSORRT
    assert recipe_for("onnxruntime", {"avx2", "avx512f"}) == X86_NARROW
    assert recipe_for("openvino", {"avx2", "avx_vnni"}) == recipe_for("onnxruntime", {"asimd"}) == X86
    assert recipe_for("onnxruntime") in (X86, X86_NARROW)
    largest = {}
    for recipe in (X86, X86_NARROW):
        model = onnx.load_model_from_string(Quantizer(exact, recipe, images).quantized())
        weights = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
        largest[recipe.name] = max(
            int(np.abs(one.astype(int)).max()) for one in weights if one.dtype == np.int8
        )
    assert largest[X86_NARROW.name] <= 64 < largest[X86.name]


@pytest.mark.parametrize("bearable", [1, 3, 5])
def test_no_more_operators_stay_in_fp32_than_the_accuracy_asks_for(
    exact: bytes, images: np.ndarray, quantizer: Quantizer, bearable: int
) -> None:
    def score(model: bytes) -> float:
        return float(-max(0, _in_int8(model) - bearable))

    lowering = Lowering("int8", quantizer.nodes, quantizer.quantized)
    found = lowered_within(lowering, score, 0.0, exact, images[:4])
    assert _in_int8(found.model) == bearable
    assert len(found.kept) == len(quantizer.nodes) - bearable
    worst = lowered_within(lowering, score, -1.0, exact, images[:4])
    assert worst.kept == found.kept[: len(worst.kept)]


def test_a_network_that_bears_no_int8_is_refused(
    exact: bytes, images: np.ndarray, quantizer: Quantizer
) -> None:
    lowering, count = Lowering("int8", quantizer.nodes, quantizer.quantized), len(quantizer.nodes)
    said = rf"int8 loses too much: -1 .* even with {count - 1} of the {count} operators in fp32 .*--max-drop"
    with pytest.raises(NumericsError, match=said):
        lowered_within(lowering, lambda model: -_in_int8(model), 0.0, exact, images[:4])


def test_resizes_and_norms_can_stay_in_fp32(images: np.ndarray) -> None:
    norm = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2), torch.nn.LayerNorm(24))
    model = export_onnx(
        torch.nn.Sequential(norm, torch.nn.Flatten(), torch.nn.Linear(576, 3)).eval(), (1, 12, 12)
    )
    quantizer = Quantizer(model, X86, images)
    kinds = {name.rpartition("_")[2]: name for name in quantizer.nodes}
    assert set(kinds) == {"Resize", "LayerNormalization", "Gemm"}
    graph = onnx.load_model_from_string(quantizer.quantized([kinds["LayerNormalization"]])).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    (kept,) = (node for node in graph.node if node.op_type == "LayerNormalization")
    assert made.get(kept.input[1]) is None, "its scale is stored in fp32"


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (np.zeros((0, 1, 12, 12), np.float32), "is empty"),
        (np.full((3, 1, 12, 12), 0.5, np.float32), "is constant"),
        (
            np.float32([-2.1, -2, -1.8]).reshape(1, 3, 1, 1) * np.ones((3, 3, 12, 12), np.float32),
            "is constant",
        ),
        (np.full((3, 1, 12, 12), np.nan, np.float32), "holds values that are not numbers"),
    ],
)
def test_a_calibration_set_that_says_nothing(exact: bytes, images: np.ndarray, fault: str) -> None:
    with pytest.raises(HwticketsError, match=f"the calibration set {fault}"):
        Quantizer(exact, X86, images)


def test_a_network_from_elsewhere_is_not_quantized(exact: bytes, images: np.ndarray) -> None:
    foreign = onnx.load_model_from_string(exact)
    foreign.graph.input[0].name = foreign.graph.node[0].input[0] = "data"
    with pytest.raises(HwticketsError, match=r"not a network that hwtickets wrote: its inputs are data and"):
        Quantizer(foreign.SerializeToString(), X86, images)
    with pytest.raises(HwticketsError, match=r"is damaged or not ONNX"):
        Quantizer(exact[: len(exact) // 2], X86, images)


def test_an_int8_bundle_is_exported_verified_and_timed(
    ticket_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "small"
    asked = ["--precision", "int8", "--max-drop", "100", "--output-dir", str(bundle)]
    assert run(["export", str(ticket_folder), *asked]) == 0
    facts = read_bundle(bundle).facts
    assert facts["precision"] == "int8" and facts["conversion"]["recipe"] == recipe_for("onnxruntime").name
    assert facts["conversion"]["validation_images"] > 0 and facts["conversion"]["kept_fp32"] == []
    found = api.verify(bundle, "cpu", 20)
    assert (found["tolerance"], found["images"]) == (0.2, 20)
    blocks = {block["name"] for block in api.benchmark(bundle, "cpu", 20, None)["blocks"]}
    assert {"stem", "blocks.0", "blocks.1"} <= blocks


def test_a_half_precision_bundle(ticket_folder: Path, tmp_path: Path) -> None:
    bundle = api.export(ticket_folder, "onnx", tmp_path / "half", QUIET, "fp16")
    weights = onnx.load(bundle / "model.onnx").graph.initializer
    assert any(weight.data_type == onnx.TensorProto.FLOAT16 for weight in weights)
    assert api.verify(bundle, "cpu", 20)["tolerance"] == 1e-2


def test_bad_wishes(ticket_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown precision 'int9'; did you mean 'int8'"):
        api.export(ticket_folder, "onnx", tmp_path, QUIET, "int9")
    with pytest.raises(UsageError, match="largest drop is a number of points from 0 on"):
        api.export(ticket_folder, "onnx", tmp_path, QUIET, "int8", max_drop=float("nan"))

"""Which operator is the first to compute something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.check import verify_bundle, why_it_differs
from hwtickets.deploy.deviation import first_deviation
from hwtickets.deploy.probes import in_parts, origins, probed
from hwtickets.deploy.quantization import Quantizer, recipe_for
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import HwticketsError
from hwtickets.files import sha256_of
from hwtickets.runtimes import Bench, load
from hwtickets.runtimes.precision import at_precision

BLOCKS = ("blocks.0", "blocks.1")


@pytest.fixture(scope="module")
def exact(run_folder: Path) -> bytes:
    return (run_folder / "bundle" / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def images(run_folder: Path) -> np.ndarray:
    with np.load(run_folder / "ticket" / "samples.npz") as samples:
        return samples["inputs"][:24]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return open_bench(get_device("cpu"))


def _damaged(model: bytes, weight: str) -> bytes:
    """The model with the signs of one weight turned around."""
    proto = onnx.load_model_from_string(model)
    tensor = next(one for one in proto.graph.initializer if one.name == weight)
    values = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(-values, weight))
    serialized: bytes = proto.SerializeToString()
    return serialized


def damage_copy(run_folder: Path, weight: str, place: Path) -> Path:
    """A copy of the bundle with a damaged weight and the hash of the damaged model."""
    bundle = shutil.copytree(run_folder / "bundle", place / "bundle")
    (bundle / "model.onnx").write_bytes(_damaged((bundle / "model.onnx").read_bytes(), weight))
    facts = json.loads((bundle / "model.json").read_text())
    facts["onnx_sha256"] = sha256_of(bundle / "model.onnx")
    (bundle / "model.json").write_text(json.dumps(facts))
    return bundle


@pytest.mark.parametrize(
    ("weight", "operator", "module"),
    [
        ("stem.0.weight", "stem.1/0_Conv", "stem.0"),
        ("blocks.0.depthwise_k5.weight", "blocks.0.depthwise_k5/8_Conv", "blocks.0.depthwise_k5"),
        ("blocks.1.expand.weight", "blocks.1.expand/14_Conv", "blocks.1.expand"),
        ("classifier.weight", "classifier/25_Gemm", "classifier"),
    ],
)
def test_a_damaged_weight_is_found_by_its_operator(
    exact: bytes, images: np.ndarray, bench: Bench, weight: str, operator: str, module: str
) -> None:
    found = first_deviation(_damaged(exact, weight), exact, bench, images[:1], 1e-4, BLOCKS)
    assert found is not None
    assert (found.origin.name, found.origin.module) == (operator, module)
    assert found.origin.block == (
        "blocks." + module[7] if module.startswith("blocks") else module.split(".")[0]
    )


def test_verify_names_the_operator_in_one_line_and_ends_with_5(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = damage_copy(run_folder, "blocks.0.project.weight", tmp_path)
    shutil.copytree(run_folder / "ticket", tmp_path / "ticket")
    found = ["--output-dir", str(tmp_path / "found")]
    assert run(["verify", str(run_folder / "bundle"), *found]) == 0
    assert json.loads((tmp_path / "found" / "verify.json").read_text())["passed"] is True
    capsys.readouterr()
    assert run(["verify", str(bundle), *found]) == 5
    shown = capsys.readouterr()
    assert shown.out == "" and len(shown.err.splitlines()) == 1
    assert "the first to differ is blocks.0.project/11_Conv (Conv; block blocks.0" in shown.err
    assert f"the fp32 graph of {tmp_path / 'ticket'}" in shown.err
    record = json.loads((tmp_path / "found" / "verify.json").read_text())
    assert record["passed"] is False and record["max_rel_error"] > record["tolerance"]


def test_outputs_that_are_not_numbers_are_written_as_a_failure(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(run_folder / "bundle", tmp_path / "bundle")
    expected = np.load(bundle / "samples" / "expected.npy")
    np.save(bundle / "samples" / "expected.npy", np.full_like(expected, np.nan))
    assert run(["verify", str(bundle), "--output-dir", str(tmp_path)]) == 5
    record = json.loads((tmp_path / "verify.json").read_text())
    assert record["passed"] is False and record["max_rel_error"] is None


def test_without_the_ticket_the_own_file_is_the_reference(
    run_folder: Path, tmp_path: Path, bench: Bench
) -> None:
    bundle = read_bundle(damage_copy(run_folder, "blocks.0.project.weight", tmp_path))
    text = why_it_differs(bundle, bench, verify_bundle(bundle, bench)[0], None)
    own = "the bundle's own file in ONNX Runtime here (--ticket FOLDER compares with its ticket)"
    assert text == f"no operator differs alone, compared with {own}"
    told = why_it_differs(bundle, bench, verify_bundle(bundle, bench)[0], run_folder / "ticket")
    assert "blocks.0.project/11_Conv" in told


def test_the_ticket_of_another_bundle_is_a_usage_error(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = damage_copy(run_folder, "blocks.0.project.weight", tmp_path)
    facts = json.loads((bundle / "model.json").read_text()) | {"ticket": "0" * 16}
    (bundle / "model.json").write_text(json.dumps(facts))
    assert run(["verify", str(bundle), "--ticket", str(run_folder / "ticket")]) == 2
    assert "was not exported from" in capsys.readouterr().err


def test_an_8_bit_network_differs_where_a_weight_is_damaged(
    exact: bytes, images: np.ndarray, bench: Bench
) -> None:
    quantized = Quantizer(exact, recipe_for("onnxruntime"), images).quantized()
    assert first_deviation(quantized, exact, bench, images[:1], 0.2, BLOCKS) is None
    for name in ("blocks.1.project/18_Conv", "blocks.1.depthwise/16_Conv"):
        damaged = _damaged(quantized, f"{name.split('/')[0]}.weight_quantized")
        found = first_deviation(damaged, exact, bench, images[:1], 0.2, BLOCKS)
        assert found is not None and found.origin.name == name, "also where ReLU became part of the range"


def test_half_precision_is_compared_by_its_own_tolerance(
    exact: bytes, images: np.ndarray, bench: Bench
) -> None:
    halved = at_precision(exact, "fp16")
    assert first_deviation(halved, exact, bench, images[:1], 1e-2, BLOCKS) is None
    assert first_deviation(halved, exact, bench, images[:1], 1e-6, BLOCKS) is not None


def test_what_is_not_a_number_is_found(exact: bytes, images: np.ndarray, bench: Bench) -> None:
    proto = onnx.load_model_from_string(exact)
    tensor = next(one for one in proto.graph.initializer if one.name == "blocks.1.expand.bias")
    values = onnx.numpy_helper.to_array(tensor) * np.float32("nan")
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    found = first_deviation(proto.SerializeToString(), exact, bench, images[:1], 0.2, BLOCKS)
    assert found is not None and found.origin.name == "blocks.1.expand/14_Conv"


def test_a_network_of_others_has_nothing_to_be_compared_by(
    exact: bytes, images: np.ndarray, bench: Bench, run_folder: Path
) -> None:
    proto = onnx.load_model_from_string(exact)
    for number, node in enumerate(proto.graph.node):
        for other in proto.graph.node:
            other.input[:] = [f"t{number}" if name == node.output[0] else name for name in other.input]
        node.output[0] = f"t{number}"
    proto.graph.output[0].name = f"t{len(proto.graph.node) - 1}"
    with pytest.raises(HwticketsError, match="no tensor in common"):
        first_deviation(proto.SerializeToString(), exact, bench, images[:1], 1e-4, BLOCKS)


def test_tensors_in_between_are_what_the_network_computes(exact: bytes, images: np.ndarray) -> None:
    own = load(exact).run({"x": images[:1]})[0]
    shown = load(probed(exact, ["stem.2/1_Relu", "y"])).run({"x": images[:1]})
    np.testing.assert_array_equal(shown[0], own)
    np.testing.assert_array_equal(shown[2], own)
    assert shown[1].shape == (1, 8, 6, 6) and shown[1].min() == 0


def test_parts_hold_every_tensor_once_and_fit(exact: bytes) -> None:
    proto = onnx.load_model_from_string(exact)
    names = [origin.tensor for origin in origins(proto, BLOCKS)]
    parts = list(in_parts(names, proto, 4000))
    assert [name for part in parts for name in part] == names
    assert len(parts) > 3
    assert list(in_parts(names, proto, 10**9)) == [names]


def test_a_bundle_is_verified_on_images_of_its_task(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ticket, bundle = str(run_folder / "ticket"), str(run_folder / "bundle")
    found = tmp_path / "found"
    assert (
        run(["verify", bundle, "--ticket", ticket, "--images", "12", "--output-dir", str(found), "--json"])
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["top1_agreement"], result["device"]) == (12, 1.0, "cpu")
    assert result["score_on_samples"] == result["score_of_pytorch"]
    assert result["cosine"] == pytest.approx(1)
    record = json.loads((found / "verify.json").read_text())
    assert record == {**result, **{key: record[key] for key in ("ticket", "onnx_sha256", "passed")}}
    assert record["passed"] is True and record["onnx_sha256"] == sha256_of(Path(bundle) / "model.onnx")

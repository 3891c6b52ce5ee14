from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load
from hwtickets.runtimes.precision import at_precision
from hwtickets.runtimes.rounded import rounded_outputs

IMAGES = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)


def _shifted(by: float, kind: str = "Add") -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    weight = onnx.numpy_helper.from_array(np.array(by, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"], "a/0")], "one", [value], [result], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(("precision", "steps"), [("fp16", 4), ("bf16", 32)])
def test_every_tensor_is_rounded_although_both_ends_are_fp32(precision: str, steps: int) -> None:
    found = rounded_outputs(at_precision(_shifted(5000), precision), IMAGES)
    assert found.dtype == np.float32 and found.shape == IMAGES.shape
    np.testing.assert_array_equal(found % steps, 5000 // steps * steps % steps)
    assert len(np.unique(found)) <= 3


def test_what_is_too_large_for_half_precision_overflows() -> None:
    found = rounded_outputs(at_precision(_shifted(1e4, "Mul"), "fp16"), 100 * IMAGES)
    np.testing.assert_array_equal(np.isinf(found), np.abs(100 * IMAGES) * 1e4 > 65519)


@pytest.mark.parametrize(("precision", "most"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_it_computes_what_the_reference_of_onnx_computes(model: bytes, precision: str, most: float) -> None:
    half = at_precision(model, precision)
    reference = ReferenceEvaluator(onnx.load_model_from_string(half))
    expected = np.concatenate([reference.run(None, {"x": image[None]})[0] for image in IMAGES])
    found, exact = rounded_outputs(half, IMAGES), load(model).run({"x": IMAGES[:1]})[0]
    assert np.abs(found - expected).max() < most * np.abs(expected).max()
    assert np.abs(found[0] - exact).max() > 0


def test_a_network_in_fp32_is_left_alone(model: bytes) -> None:
    np.testing.assert_allclose(
        rounded_outputs(model, IMAGES[:1]), load(model).run({"x": IMAGES[:1]})[0], rtol=1e-4, atol=1e-5
    )


def test_an_operator_that_is_unknown_is_named() -> None:
    with pytest.raises(HwticketsError, match=r"a/0 \(Mod\)"):
        rounded_outputs(_shifted(2, "Mod"), IMAGES)

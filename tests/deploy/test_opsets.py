from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwtickets.deploy.opsets import at_opset, opset_of
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.runtimes import load

FLOAT = TensorProto.FLOAT


def _network(
    kind: str, shape: list[int], constants: list[Any], outputs: int = 1, **attributes: object
) -> bytes:
    """One operator in opset 18; None leaves an input out."""
    named = {f"c{index}": value for index, value in enumerate(constants)}
    node = helper.make_node(
        kind,
        ["x", *("" if value is None else name for name, value in named.items())],
        [f"y{index}" for index in range(outputs)],
        f"block/0_{kind}",
        **attributes,
    )
    weights = [numpy_helper.from_array(value, name) for name, value in named.items() if value is not None]
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_empty_tensor_value_info(f"y{index}") for index in range(outputs)],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(onnx.shape_inference.infer_shapes(proto).SerializeToString())


def _int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


REGION = np.array([0.1, 0.2, 0.9, 0.8], np.float32)
SCALES = np.array([2, 1.5], np.float32)
PADS = _int64(1, 0, 2, 3)
CASES: dict[str, bytes] = {
    "mean": _network("ReduceMean", [2, 3, 4, 5], [_int64(2, -1)], keepdims=1, noop_with_empty_axes=0),
    "all": _network("ReduceMax", [2, 3, 4], [], keepdims=0),
    "norm": _network("ReduceL2", [2, 3, 4], [_int64(1)], keepdims=0, noop_with_empty_axes=1),
    "split": _network("Split", [1, 7, 2], [], 3, axis=1, num_outputs=3),
    "sizes": _network("Split", [1, 7, 2], [_int64(3, 4)], 2, axis=1),
    "pads": _network("Pad", [1, 2, 4, 4], [PADS, np.float32(0.5), _int64(-1, 2)], mode="constant"),
    "scales": _network("Resize", [1, 2, 4, 4], [None, SCALES], mode="linear", axes=[2, 3]),
    "sizes2": _network("Resize", [1, 2, 4, 4], [None, None, _int64(7, 6)], mode="nearest", axes=[2, 3]),
    "plain": _network("Relu", [1, 2], []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_older_form_computes_the_same(case: str) -> None:
    before = CASES[case]
    after = at_opset(before, 17)
    proto = onnx.load_model_from_string(after)
    onnx.checker.check_model(proto, full_check=True)
    assert (opset_of(after), proto.ir_version) == (17, 8)
    session = load(before)
    inputs = session.random_inputs(1)
    for expected, actual in zip(session.run(inputs), load(after).run(inputs), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


REFUSED = {
    "antialias": _network("Resize", [1, 2, 4, 4], [None, SCALES], mode="linear", axes=[2, 3], antialias=1),
    "keep_aspect_ratio_policy": _network(
        "Resize",
        [1, 2, 4, 4],
        [None, None, _int64(1, 2, 7, 6)],
        mode="linear",
        keep_aspect_ratio_policy="not_larger",
    ),
    "region of interest": _network(
        "Resize",
        [1, 2, 4, 4],
        [REGION, SCALES],
        mode="linear",
        axes=[2, 3],
        coordinate_transformation_mode="tf_crop_and_resize",
    ),
    "it reduces nothing": _network("ReduceSumSquare", [2, 3], [], noop_with_empty_axes=1),
    "it came with opset 18": _network("Mish", [2, 3], []),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_older_form_is_named(reason: str) -> None:
    (node,) = onnx.load_model_from_string(REFUSED[reason]).graph.node
    with pytest.raises(
        HwticketsError, match=rf"^{node.op_type} \({node.name}\) has no form in opset 17: .*{reason}"
    ):
        at_opset(REFUSED[reason], 17)


def test_axes_that_are_computed_have_no_older_form() -> None:
    proto = onnx.load_model_from_string(CASES["mean"])
    (axes,) = proto.graph.initializer
    proto.graph.input.append(helper.make_tensor_value_info(axes.name, TensorProto.INT64, [2]))
    del proto.graph.initializer[:]
    with pytest.raises(HwticketsError, match="input 1 is computed in the network"):
        at_opset(proto.SerializeToString(), 17)


def test_a_free_size_is_not_split_by_guess() -> None:
    proto = onnx.load_model_from_string(CASES["split"])
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "n"
    del proto.graph.value_info[:]
    with pytest.raises(HwticketsError, match="the size that is split is free"):
        at_opset(proto.SerializeToString(), 17)


def test_which_opsets_there_are() -> None:
    model = CASES["mean"]
    assert at_opset(model, None) is model and at_opset(model, 18) is model
    with pytest.raises(UsageError, match=r"opset 13 cannot be written; choose 18 or 17"):
        at_opset(model, 13)
    with pytest.raises(UsageError, match=r"is written in opset 17 already"):
        at_opset(at_opset(model, 17), 18)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load
from hwtickets.runtimes.onnx_to_torch import to_module

_IMAGE = (1, 4, 6, 8)


def one_node(
    kind: str,
    shape: Sequence[int],
    constants: Sequence[Any],
    attributes: Mapping[str, Any],
    outputs: int = 1,
    rank: int = 4,
) -> bytes:
    """A model of one node, its first input "x", the others constant; None leaves one out."""
    stored = [
        onnx.numpy_helper.from_array(np.asarray(values), f"c{index}")
        for index, values in enumerate(constants)
        if values is not None
    ]
    names = ["" if values is None else f"c{index}" for index, values in enumerate(constants)]
    results = [f"y{index}" for index in range(outputs)]
    node = onnx.helper.make_node(kind, ["x", *names], results, "the/node", **attributes)
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.helper.make_tensor_value_info("x", float32, shape)],
        [onnx.helper.make_tensor_value_info(name, float32, [None] * rank) for name in results],
        stored,
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    model: bytes = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def weights(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


_CONV = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
_CASES: list[tuple[str, Sequence[int], list[Any], dict[str, Any]]] = [
    ("Conv", _IMAGE, [weights(6, 4, 3, 3), weights(6)], {**_CONV, "strides": [2, 1]}),
    ("Conv", _IMAGE, [weights(4, 1, 3, 3)], {**_CONV, "group": 4, "dilations": [1, 1]}),
    ("Conv", _IMAGE, [weights(2, 4, 1, 3)], {"pads": [0, 1, 0, 1]}),
    ("ConvTranspose", _IMAGE, [weights(4, 3, 4, 4), weights(3)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", _IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", _IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", _IMAGE, [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", _IMAGE, [], {**_CONV, "count_include_pad": 1}),
    ("AveragePool", _IMAGE, [], _CONV),
    ("GlobalAveragePool", _IMAGE, [], {}),
    ("Gemm", (2, 5), [weights(3, 5), weights(3)], {"transB": 1}),
    ("Gemm", (2, 5), [weights(5, 3)], {}),
    ("MatMul", (1, 4, 5), [weights(5, 3)], {}),
    ("LayerNormalization", (1, 4, 6), [1 + weights(6), weights(6)], {"epsilon": 1e-3}),
    ("InstanceNormalization", _IMAGE, [weights(4), weights(4)], {}),
    ("BatchNormalization", _IMAGE, [weights(4), weights(4), weights(4), weights(4) ** 2], {}),
    ("Clip", _IMAGE, [np.float32(-0.5), np.float32(0.5)], {}),
    ("Clip", _IMAGE, [None, np.float32(0.5)], {}),
    ("PRelu", _IMAGE, [weights(4, 1, 1)], {}),
    ("Add", _IMAGE, [weights(4, 1, 1)], {}),
    ("Sub", _IMAGE, [weights(4, 1, 1)], {}),
    ("Mul", _IMAGE, [weights(4, 1, 1)], {}),
    ("Div", _IMAGE, [np.float32(3)], {}),
    ("Pow", _IMAGE, [np.float32(2)], {}),
    *((kind, _IMAGE, [], {}) for kind in ("Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Neg", "Abs", "Selu")),
    *(
        (kind, _IMAGE, [], {})
        for kind in ("HardSwish", "HardSigmoid", "Elu", "LeakyRelu", "Softplus", "Gelu")
    ),
    ("HardSigmoid", _IMAGE, [], {"alpha": 1 / 6}),
    ("LeakyRelu", _IMAGE, [], {"alpha": 0.3}),
    ("Gelu", _IMAGE, [], {"approximate": "tanh"}),
    ("Identity", _IMAGE, [], {}),
    ("Softmax", _IMAGE, [], {"axis": 1}),
    ("ReduceMean", _IMAGE, [np.array([2, 3])], {"keepdims": 0}),
    ("ReduceMean", _IMAGE, [np.array([-1])], {}),
    ("Reshape", _IMAGE, [np.array([1, 4, -1])], {}),
    ("Reshape", _IMAGE, [np.array([0, 0, 48])], {}),
    ("Flatten", _IMAGE, [], {}),
    ("Transpose", _IMAGE, [], {"perm": [0, 2, 3, 1]}),
    ("Concat", _IMAGE, [weights(*_IMAGE)], {"axis": 1}),
    ("Slice", _IMAGE, [np.array([1, 0]), np.array([-1, 5]), np.array([2, 3]), np.array([1, 2])], {}),
    ("Slice", _IMAGE, [np.array([0]), np.array([1])], {}),
    ("Squeeze", (1, 4, 1, 3), [np.array([0, 2])], {}),
    ("Unsqueeze", (4, 3), [np.array([0, 3])], {}),
    ("Tile", _IMAGE, [np.array([2, 1, 1, 3])], {}),
    ("Expand", (1, 4, 1), [np.array([3, 1, 5])], {}),
    ("Gather", _IMAGE, [np.array(2)], {"axis": 1}),
    ("Resize", _IMAGE, [None, None, np.array([1, 4, 9, 5])], {"mode": "linear"}),
    (
        "Resize",
        _IMAGE,
        [None, np.array([1, 1, 2, 2], np.float32)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    (
        "Resize",
        _IMAGE,
        [None, None, np.array([1, 4, 12, 16])],
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
]


@pytest.mark.parametrize(
    ("kind", "shape", "constants", "attributes"),
    _CASES,
    ids=[f"{case[0]}-{index}" for index, case in enumerate(_CASES)],
)
def test_every_operator_computes_what_onnx_runtime_computes(
    kind: str, shape: Sequence[int], constants: list[Any], attributes: dict[str, Any]
) -> None:
    model = one_node(kind, shape, constants, attributes)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (expected,) = load(model).run({"x": x})
    (found,) = to_module(model)(torch.from_numpy(x))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_several_outputs_come_in_the_order_of_the_graph() -> None:
    model = one_node("Split", _IMAGE, [np.array([1, 3])], {"axis": 1}, outputs=2)
    x = np.random.default_rng(0).standard_normal(_IMAGE).astype(np.float32)
    for found, expected in zip(to_module(model)(torch.from_numpy(x)), load(model).run({"x": x}), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_takes_and_gives_fp32(model: bytes, kind: torch.dtype) -> None:
    session = load(model)
    inputs = session.random_inputs()
    expected, (found,) = session.run(inputs)[0], to_module(model, kind)(torch.from_numpy(inputs["x"]))
    assert found.dtype == torch.float32
    error = np.abs(found.numpy() - expected).max() / np.abs(expected).max()
    assert 1e-6 < error < (1e-2 if kind == torch.float16 else 1e-1)


@pytest.mark.parametrize(
    ("kind", "constants", "attributes", "reason"),
    [
        ("Conv", [weights(4, 4, 2, 2)], {"pads": [0, 0, 1, 1]}, "not the same on both sides"),
        ("Resize", [None, None, np.array([1, 4, 12, 16])], {"mode": "cubic"}, "the mode cubic"),
        ("Slice", [np.array([-1]), np.array([-9]), np.array([2]), np.array([-1])], {}, "goes backwards"),
        ("Gather", [np.array([0, 2])], {"axis": 1}, "one constant index"),
        ("Det", [], {}, "this operator is unknown here"),
    ],
)
def test_what_is_not_known_is_named(
    kind: str, constants: list[Any], attributes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HwticketsError, match=rf"cannot run node the/node \({kind}\): .*{reason}"):
        to_module(one_node(kind, _IMAGE, constants, attributes))


@pytest.mark.parametrize("content", [b"no model at all", b"\x08\x0a" * 50])
def test_a_damaged_model_is_one_line(content: bytes) -> None:
    with pytest.raises(
        HwticketsError, match=r"PyTorch cannot load the given model: .+; export it again"
    ) as error:
        to_module(content)
    assert "\n" not in str(error.value)

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from hwtickets.space.fusion import fuses
from hwtickets.space.operators import GraphBuilder, OperatorSpec
from hwtickets.tables.skeleton import skeleton_model

ACTIVATIONS = (
    *("relu", "relu6", "sigmoid", "tanh", "leakyrelu", "hardsigmoid", "hswish"),
    *("silu", "gelu", "elu", "selu", "prelu", "mish"),
)
#: What moves data between the layouts of the runtime, or views it in another shape, computes nothing.
MOVES = ("ReorderInput", "ReorderOutput", "Reshape", "Flatten")


def _executed(spec: OperatorSpec, folder: Path) -> int:
    """Nodes that the runtime makes of an operator between two convolutions, or alone."""
    builder = GraphBuilder(32, 28, 28)
    x = builder.graph.input
    if spec.kind == "linear":
        builder._append("b", "op", spec, [builder.pool("b", "before", x)])
    else:
        # Behind an activation a batch norm cannot be folded into the convolution before.
        x = builder.conv("b", "before", x, 32, 3, activation="relu")
        y = builder._append("b", "op", spec, [x, x] if spec.residual else [x])
        builder.conv("b", "after", y, 32, 3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(skeleton_model(builder.graph), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folder / "optimised.onnx").graph.node
    return sum(node.op_type not in MOVES for node in nodes) - (1 if spec.kind == "linear" else 2)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_runtime_fuses_into_a_convolution_what_is_said_of_it(
    activation: str, residual: bool, tmp_path: Path
) -> None:
    spec = OperatorSpec("conv", 32, 32, 3, 1, 1, 28, 28, activation, residual)
    assert (_executed(spec, tmp_path) == 1) == fuses("conv", activation, residual)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_runtime_fuses_into_a_norm_that_stays_what_is_said_of_it(activation: str, tmp_path: Path) -> None:
    spec = OperatorSpec("batchnorm", 32, 32, height=28, width=28, activation=activation)
    assert (_executed(spec, tmp_path) == 1) == fuses("batchnorm", activation)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "leakyrelu", "gelu"])
def test_a_product_of_one_row_takes_simple_activations(activation: str, tmp_path: Path) -> None:
    spec = OperatorSpec("linear", 32, 16, activation=activation)
    assert (_executed(spec, tmp_path) == 1) == fuses("linear", activation)


def test_products_of_many_rows_and_transposed_convolutions_take_none() -> None:
    assert not fuses("linear", "relu", rows=5)
    assert not fuses("deconv", "relu")

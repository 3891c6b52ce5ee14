from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwtickets.devices.runtimes import lacking
from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load, local_runtime, node_times
from hwtickets.runtimes.half import dangerous_product


def test_a_model_from_memory_and_from_a_file_compute_the_same(model: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model)
    from_memory, from_file = load(model), load(file)
    inputs = from_memory.random_inputs(seed=1)
    assert from_memory.input_names == ["x"]
    np.testing.assert_array_equal(from_memory.run(inputs)[0], from_file.run(inputs)[0])


def test_random_inputs_have_the_models_shape_and_follow_the_seed(model: bytes) -> None:
    session = load(model)
    assert session.random_inputs(0)["x"].shape == (1, 3, 8, 8)
    np.testing.assert_array_equal(session.random_inputs(3)["x"], session.random_inputs(3)["x"])
    assert not np.array_equal(session.random_inputs(3)["x"], session.random_inputs(4)["x"])


@pytest.mark.parametrize("damage", [b"", b"not a model", None])
def test_a_damaged_model_is_one_line(model: bytes, damage: bytes | None) -> None:
    broken = model[: len(model) // 2] if damage is None else damage
    with pytest.raises(HwticketsError, match=r"cannot load the given model: .*; export it again$") as caught:
        load(broken)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_whole_model_that_cannot_be_loaded_is_not_to_be_exported_again(name: str) -> None:
    if lacking(name) is not None:
        pytest.skip(f"needs {name}")
    x, y = (helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, 4]) for end in "xy")
    graph = helper.make_graph(
        [helper.make_node("Sharpen", ["x"], ["y"], "a/0", domain="acme")], "one", [x], [y]
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("acme", 1)]
    whole = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    with pytest.raises(HwticketsError, match=r"cannot load .*Sharpen.*; choose another precision or device"):
        local_runtime(name, 1, "fp32").load(whole)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match=r"there is no model at .*gone\.onnx"):
        load(tmp_path / "gone.onnx")


def tokens(kind: int, batch: int | str) -> bytes:
    """A product of transposed tokens."""
    x = helper.make_tensor_value_info("x", kind, [batch, 4, 8])
    y = helper.make_tensor_value_info("y", kind, [batch, 8, 2])
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], "tokens/0_Transpose", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t", "w"], ["y"], "tokens/1_MatMul"),
    ]
    weight = numpy_helper.from_array(np.ones((4, 2), dtype), "w")
    graph = helper.make_graph(nodes, "tokens", [x], [y], [weight])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return proto.SerializeToString()


@pytest.mark.parametrize("batch", [1, "batch"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_tokens_run_in_half_precision_too(kind: int, batch: int | str, tmp_path: Path) -> None:
    # A free batch in fp16 ends the process of a plain session: issue 28392 of ONNX Runtime.
    (tmp_path / "foreign.onnx").write_bytes(tokens(kind, batch))
    x = {"x": np.ones((1, 4, 8), helper.tensor_dtype_to_np_dtype(kind))}
    for model in (tokens(kind, batch), tmp_path / "foreign.onnx"):
        assert (load(model).run(x)[0] == 4).all()
        assert node_times(model, x, runs=1)
    dangerous = kind == TensorProto.FLOAT16 and batch == "batch"
    assert dangerous_product(tmp_path / "foreign.onnx") == ("tokens/1_MatMul" if dangerous else None)

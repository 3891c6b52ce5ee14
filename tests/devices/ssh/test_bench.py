from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from hwtickets.devices import DeviceProfile, differences, get_device, open_bench
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes.onnxruntime import Array
from tests.runtimes.test_onnxruntime import tokens


def test_times_have_the_order_of_those_taken_here(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(board) as far, open_bench(get_device("cpu")) as here:
        there_ms, here_ms = (bench.time({"a": model}, inputs, 100)["a"] for bench in (far, here))
    assert there_ms.runs == here_ms.runs == 100
    assert there_ms.clock == here_ms.clock
    assert 0.1 < there_ms.p50_ms / here_ms.p50_ms < 10


def test_models_are_timed_side_by_side(board: DeviceProfile, model: bytes, inputs: dict[str, Array]) -> None:
    with open_bench(board) as bench:
        timings = bench.time({"one": model, "two": model}, inputs, runs=11, warmup=2)
    assert [len(timing.samples_ms) for timing in timings.values()] == [15, 15]
    assert min(timings["one"].samples_ms) > 0


def test_outputs_are_bit_for_bit_those_of_this_machine(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    batches = [inputs, {"x": inputs["x"] * 2}]
    with open_bench(board) as far, open_bench(get_device("cpu")) as here:
        there, expected = (bench.run(model, batches) for bench in (far, here))
    for one, other in zip(there, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_nodes_are_those_of_this_machine(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(board) as far, open_bench(get_device("cpu")) as here:
        there, expected = (bench.node_times(model, inputs, 30) for bench in (far, here))
    assert {name: node.op_type for name, node in there.items()} == {
        name: node.op_type for name, node in expected.items()
    }
    assert all(node.mean_ms >= 0 for node in there.values())


def test_the_fingerprint_differs_from_this_machines_in_the_name_only(board: DeviceProfile) -> None:
    with open_bench(board) as far, open_bench(get_device("cpu")) as here:
        assert differences(far.fingerprint, here.fingerprint) == ["device: board -> cpu"]


def test_two_benches_of_one_process_share_the_board(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(board) as outer:
        with open_bench(board) as inner:
            inner.run(model, [inputs])
        assert len(outer.run(model, [inputs])) == 1


def test_what_the_runtime_cannot_load_is_no_fault_of_the_board(
    board: DeviceProfile, inputs: dict[str, Array]
) -> None:
    with open_bench(board) as bench:
        with pytest.raises(HwticketsError, match=r"board: ONNX Runtime .* cannot load the model") as caught:
            bench.run(b"no model", [inputs])
        assert caught.value.exit_code == 1


def test_a_missing_runtime_is_named_with_the_ones_that_are_there(board: DeviceProfile) -> None:
    profile = board.model_copy(update={"runtime": "tensorrt"})
    with pytest.raises(DeviceError, match=r"tensorrt is missing on board .found: onnxruntime.; install it"):
        open_bench(profile)


def test_a_python_without_the_runtime_is_a_missing_runtime(board: DeviceProfile) -> None:
    profile = board.model_copy(update={"python": "/usr/bin/python3"})
    try:
        open_bench(profile).close()
    except DeviceError as error:
        assert "onnxruntime is missing" in str(error)


def test_fp16_models_still_take_and_give_fp32(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    profile = board.model_copy(update={"precisions": ("fp32", "fp16")})
    with open_bench(profile, "fp16") as half, open_bench(profile) as full:
        rounded, exact = (bench.run(model, [inputs])[0][0] for bench in (half, full))
    assert rounded.dtype == np.float32
    assert 0 < float(np.abs(rounded - exact).max()) < 0.05


def test_what_would_end_the_agent_is_not_sent(board: DeviceProfile) -> None:
    with open_bench(board) as bench, pytest.raises(DeviceError, match="MatMul in fp16 with a free batch"):
        bench.run(tokens(TensorProto.FLOAT16, "batch"), [])
    with open_bench(board) as bench:
        ones = {"x": np.ones((2, 4, 8), np.float32)}
        assert bench.run(tokens(TensorProto.FLOAT, "batch"), [ones])[0][0].shape == (2, 8, 2)

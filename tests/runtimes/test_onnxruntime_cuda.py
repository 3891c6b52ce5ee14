from __future__ import annotations

import onnxruntime as ort
import pytest

from hwtickets.errors import DeviceError
from hwtickets.runtimes import load, local_runtime, node_times
from hwtickets.runtimes.onnxruntime import CPU
from hwtickets.runtimes.onnxruntime_cuda import times_in_a_process


def test_an_onnx_runtime_without_cuda_is_refused() -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match=r"no CUDAExecutionProvider .*pip install onnxruntime-gpu"):
        local_runtime("onnxruntime-cuda", 1, "fp32")


def test_a_profile_from_a_process_of_its_own_names_the_same_nodes(model: bytes) -> None:
    inputs = load(model).random_inputs()
    found = times_in_a_process(model, inputs, 5, CPU)
    here = node_times(model, inputs, 5)
    assert {name: time.op_type for name, time in found.items()} == {
        name: time.op_type for name, time in here.items()
    }
    assert all(time.mean_ms >= 0 for time in found.values())


def test_a_process_that_fails_is_one_line(model: bytes) -> None:
    with pytest.raises(DeviceError, match=r"the profile of ONNX Runtime failed: .*cannot load") as error:
        times_in_a_process(b"no model", load(model).random_inputs(), 5, CPU)
    assert "\n" not in str(error.value)

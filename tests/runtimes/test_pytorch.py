from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwtickets.deploy.quantization import X86, Quantizer
from hwtickets.devices.runtimes import lacking
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes import NoProfileError, load, local_runtime, time_interleaved
from hwtickets.runtimes.precision import at_precision


def test_it_computes_what_onnx_runtime_computes(model: bytes) -> None:
    inputs = load(model).random_inputs()
    found = local_runtime("pytorch", 1, "fp32").load(model).run(inputs)
    np.testing.assert_allclose(found[0], load(model).run(inputs)[0], rtol=1e-4, atol=1e-5)


def test_compiled_it_computes_the_same_but_tells_no_times_of_operators(model: bytes) -> None:
    lack = lacking("pytorch-compiled")
    if lack is not None:
        pytest.skip(lack.reason)
    runtime, inputs = local_runtime("pytorch-compiled", 1, "fp32"), load(model).random_inputs()
    np.testing.assert_allclose(
        runtime.load(model).run(inputs)[0], load(model).run(inputs)[0], rtol=1e-4, atol=1e-5
    )
    with pytest.raises(NoProfileError, match="leaves no operators"):
        runtime.node_times(model, inputs, 5)


def test_the_threads_of_the_process_are_as_before(model: bytes) -> None:
    before, inputs = torch.get_num_threads(), load(model).random_inputs()
    for threads, clock in ((1, "thread CPU time"), (before + 1, "wall clock")):
        runtime = local_runtime("pytorch", threads, "fp32")
        session = runtime.load(model)
        assert time_interleaved({"a": session}, inputs, runs=5)["a"].clock == clock
        runtime.node_times(model, inputs, 2)
        session.run(inputs)
        assert torch.get_num_threads() == before
    assert not torch.is_inference_mode_enabled()


def test_every_node_is_timed_under_its_name_and_in_order(model: bytes) -> None:
    times = local_runtime("pytorch", 1, "fp32").node_times(model, load(model).random_inputs(), 10)
    nodes = onnx.load_model_from_string(model).graph.node
    assert {name: time.op_type for name, time in times.items()} == {node.name: node.op_type for node in nodes}
    assert list(times) == [node.name for node in nodes]
    assert all(time.mean_ms > 0 for time in times.values())


def test_a_graph_in_8_bits_is_refused(model: bytes) -> None:
    images = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)
    eight = Quantizer(model, X86, images).quantized()
    with pytest.raises(
        HwticketsError, match="no 8-bit operators for it, nearest: fp32; choose another runtime"
    ):
        local_runtime("pytorch", 1, "fp32").load(eight)


@pytest.mark.parametrize("name", ["pytorch-cuda", "pytorch-cuda-compiled", "pytorch-cuda-graphs"])
def test_without_a_gpu_that_pytorch_can_use_cuda_is_refused(name: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(DeviceError, match="cannot use a GPU: "):
        local_runtime(name, 1, "fp16")


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="there is no model at"):
        local_runtime("pytorch", 1, "fp32").load(tmp_path / "none.onnx")


@pytest.mark.parametrize(("precision", "most"), [("fp16", 1e-2), ("bf16", 1e-1)])
def test_a_graph_in_16_bits_runs_in_them(model: bytes, precision: str, most: float) -> None:
    inputs = load(model).random_inputs()
    expected = load(model).run(inputs)[0]
    found = local_runtime("pytorch", 1, "fp32").load(at_precision(model, precision)).run(inputs)[0]
    assert found.dtype == np.float32
    assert 1e-6 < np.abs(found - expected).max() / np.abs(expected).max() < most


def test_inputs_of_another_shape_are_one_line(model: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    session = local_runtime("pytorch", 1, "fp32").load(model)
    with pytest.raises(HwticketsError, match="PyTorch cannot run the network: ") as error:
        session.run({"x": np.zeros((1, 5, 8, 8), np.float32)})
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", ""), "torch.fx prints its own traceback of what is called as a module"

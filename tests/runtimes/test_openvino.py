from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from hwtickets.deploy.quantization import Quantizer, recipe_for
from hwtickets.devices import get_device
from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load, local_runtime, time_interleaved

pytest.importorskip("openvino", reason="needs openvino: pip install 'hwtickets[openvino]'")


def test_it_computes_what_onnx_runtime_computes(model: bytes, tmp_path: Path) -> None:
    expected, inputs = load(model), load(model).random_inputs()
    (tmp_path / "model.onnx").write_bytes(model)
    for source in (model, tmp_path / "model.onnx"):
        found = local_runtime("openvino", 1, "fp32").load(source).run(inputs)
        np.testing.assert_allclose(found[0], expected.run(inputs)[0], rtol=1e-4, atol=1e-5)


def test_fp32_is_not_silently_another_precision(model: bytes) -> None:
    if "bf16" not in get_device("cpu-openvino").precisions:
        pytest.skip("this processor has no bf16")
    session = load(model)
    inputs = session.random_inputs()
    expected = session.run(inputs)[0]
    errors = {
        precision: np.abs(local_runtime("openvino", 1, precision).load(model).run(inputs)[0] - expected).max()
        for precision in ("fp32", "bf16")
    }
    assert errors["fp32"] < 1e-5 < 100 * errors["fp32"] < errors["bf16"] < 0.1 * np.abs(expected).max()


def test_outputs_of_one_run_outlive_the_next(model: bytes) -> None:
    session = local_runtime("openvino", 1, "fp32").load(model)
    inputs = load(model).random_inputs()
    first = session.run(inputs)[0]
    kept = first.copy()
    session.run({"x": 2 * inputs["x"]})
    np.testing.assert_array_equal(first, kept)


def test_one_thread_does_the_work_itself_and_is_timed_by_its_cpu_time(model: bytes) -> None:
    session = local_runtime("openvino", 1, "fp32").load(model)
    timing = time_interleaved({"a": session}, load(model).random_inputs(), runs=20)["a"]
    assert timing.clock == "thread CPU time" and timing.runs == 20
    # Calling alone takes some microseconds: a worker thread's computing would not be in here.
    assert timing.p50_ms > 0.001
    assert local_runtime("openvino", 2, "fp32").load(model).clock == "wall clock"


def test_every_time_has_the_name_of_the_onnx_node_that_it_is_of(model: bytes) -> None:
    times = local_runtime("openvino", 1, "fp32").node_times(model, load(model).random_inputs(), 20)
    named = [name for name in times if "/" in name]
    nodes = [node.name for node in onnx.load_model_from_string(model).graph.node]
    assert named == sorted(set(named), key=nodes.index), "in order of execution"
    assert {"Conv", "Gemm"} <= {name.rpartition("_")[2] for name in named}
    assert all(time.mean_ms > 0 and time.kernel for time in times.values())
    assert not any(name.endswith("Relu") for name in times), "fused into the convolution"


def test_a_graph_in_8_bits_stays_in_8_bits(model: bytes) -> None:
    images = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)
    eight, inputs = Quantizer(model, recipe_for("openvino"), images).quantized(), {"x": images[:1]}
    runtime = local_runtime("openvino", 1, "fp32")
    exact, found = (runtime.load(source).run(inputs)[0] for source in (model, eight))
    assert 0 < np.abs(exact - found).max() < 0.1 * np.abs(exact).max()
    times = runtime.node_times(eight, inputs, 5).values()
    assert any("Convolution" in time.op_type and time.kernel.endswith("I8") for time in times)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x0a" * 50])
def test_a_damaged_model_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(HwticketsError, match=f"OpenVINO cannot load {path}: .+; export it again") as error:
        local_runtime("openvino", 1, "fp32").load(path)
    assert "\n" not in str(error.value)


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="there is no model at"):
        local_runtime("openvino", 1, "fp32").load(tmp_path / "none.onnx")

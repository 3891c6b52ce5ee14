from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from benchmarks.loopback import Loopback
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes.onnxruntime import Array


def test_engines_are_built_once_and_timed_in_three_rounds(
    trt_board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(trt_board, "fp16") as bench:
        timings = bench.time({"one": model, "two": model}, inputs, runs=60)
    assert timings["one"].runs == timings["two"].runs == 60
    assert timings["one"].samples_ms[:2] == [1.5, 1.51]
    assert len(timings["one"].clocks_mhz) == 2, "before and after"


def test_layers_come_under_the_names_of_their_first_nodes(
    trt_board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(trt_board) as bench:
        assert {name: node.mean_ms for name, node in bench.node_times(model, inputs).items()} == {
            "stem/conv/Conv": 0.25
        }


def test_inputs_arrive_as_raw_values(
    trt_board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(trt_board) as bench:
        outputs = bench.run(model, [inputs])
    np.testing.assert_array_equal(outputs[0][0], [[inputs["x"].nbytes, len("y")]])


def test_outputs_come_in_the_order_of_the_network(trt_board: DeviceProfile) -> None:
    x, *outputs = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in ("x", "score", "box")
    )
    nodes = [helper.make_node("Relu", ["x"], ["score"]), helper.make_node("Sigmoid", ["x"], ["box"])]
    graph = helper.make_graph(nodes, "two", [x], outputs)
    two = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    with open_bench(trt_board) as bench:
        found = bench.run(two, [{"x": np.zeros((1, 2), np.float32)}])
    assert [values[0, 1] for values in found[0]] == [len("score"), len("box")]


def test_the_fingerprint_says_which_timing_options_are_in_force(trt_board: DeviceProfile) -> None:
    with open_bench(trt_board) as bench:
        assert bench.fingerprint["timing"] == (
            "--useCudaGraph, --useSpinWait, --noDataTransfers, --separateProfileRun"
        )
        assert bench.fingerprint["trtexec"] == "100300"


def test_a_model_that_it_refuses_is_one_line_with_its_reason(
    trt_board: DeviceProfile, inputs: dict[str, Array]
) -> None:
    with (
        open_bench(trt_board) as bench,
        pytest.raises(HwticketsError, match=r"trt: trtexec failed .exit code 1.: that is no network"),
    ):
        bench.time({"bad": b"no model"}, inputs, runs=10)


def test_a_trtexec_that_runs_out_of_memory_is_the_boards_fault_and_leaves_no_engine(
    trt_board: DeviceProfile, loopback: Loopback, inputs: dict[str, Array]
) -> None:
    with open_bench(trt_board) as bench:
        with pytest.raises(
            DeviceError, match=r"Cuda failure: out of memory; close other programs on the board"
        ):
            bench.time({"large": b"\x08 TooLarge"}, inputs, runs=10)
        with pytest.raises(
            DeviceError, match=r"exit code -9.*; signal 9 ended it: look for a process killed"
        ):
            bench.time({"killed": b"\x08 Killed"}, inputs, runs=10)
    assert not list((loopback.folder / "trt-cache" / "plans").glob("*.part"))


def test_a_trtexec_that_does_not_start_is_one_line(
    loopback: Loopback, make_profile: Callable[..., DeviceProfile], tmp_path: Path
) -> None:
    program = tmp_path / "trtexec"
    program.write_text(
        "#!/bin/sh\necho 'trtexec: error while loading shared libraries: libnvinfer.so.8'; exit 127\n"
    )
    program.chmod(0o755)
    loopback.add("broken", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    with pytest.raises(
        DeviceError, match=r"broken: trtexec does not start there \(.*libnvinfer.so.8\); install"
    ):
        open_bench(make_profile("broken", runtime="trtexec"))

from __future__ import annotations

import numpy as np
import pytest

from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.errors import HwticketsError
from hwtickets.runtimes.onnxruntime import Array


def test_engines_are_built_once_and_timed_in_three_rounds(
    trt_board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(trt_board, "fp16") as bench:
        timings = bench.time({"one": model, "two": model}, inputs, runs=60)
    assert timings["one"].runs == timings["two"].runs == 60
    assert timings["one"].samples_ms[:2] == [1.5, 1.51]


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
    np.testing.assert_array_equal(outputs[0][0], [[inputs["x"].nbytes, 0.5]])


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

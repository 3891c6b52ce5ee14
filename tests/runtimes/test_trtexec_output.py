from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import DeviceError
from hwtickets.runtimes import trtexec_output as output
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.tensorrt_layers import engine_layers
from tests import recorded_engine

DATA = Path(__file__).parents[1] / "data" / "trtexec"


def _text(name: str) -> str:
    return (DATA / name).read_text()


def test_samples_are_times_on_the_gpu() -> None:
    assert output.sample_times_ms(_text("times.json")) == [1.25, 1.3, 1.5]


def test_layers_of_8_are_named_after_their_first_node_and_reformatting_keeps_its_name() -> None:
    names = "\n".join(f'"{name}",' for name in output.layer_times_ms(_text("profile-8.json")))
    times = output.node_times(_text("profile-8.json"), f'{{"Layers": [{names[:-1]}], "Bindings": ["x"]}}')
    assert list(times) == [
        "Reformatting CopyNode for Input Tensor 0 to stem.conv + PWN(stem.relu)",
        "stem.conv",
        "Reformatting CopyNode for Input Tensor 0 to body.conv",
        "body.conv",
        "left.conv",
        "gate.sigmoid",
    ]
    assert [time.mean_ms for time in times.values()] == [0.01, 0.025, 0, 0.02, 0.04, 0.005]


def test_times_and_kinds_meet_by_the_name_of_the_layer() -> None:
    times = output.node_times(_text("profile-10.json"), _text("layers-10.json"))
    assert times == {"/stem/Conv": NodeTime("Convolution", 0.0275, "kernel_of_the_stem")}


def test_all_of_the_time_of_a_recorded_engine_is_accounted_for() -> None:
    times = output.node_times(recorded_engine.profile(), recorded_engine.layer_info())
    recorded_ms = [float(row["median5_ms"]) for row in recorded_engine.rows()]
    assert sum(time.mean_ms for time in times.values()) == pytest.approx(sum(recorded_ms))
    stem = times["[CONVOLUTION]-[aten_ops.convolution.default]-[/features_0/0/convolution]"]
    assert (stem.op_type, stem.mean_ms) == ("Convolution", 0.038464)


def test_two_layers_of_one_node_are_added_up() -> None:
    entries = [{"name": name, "averageMs": ms} for name, ms in (("a + b", 0.25), ("c", 1.0), ("a + d", 0.5))]
    layers = {"Layers": [entry["name"] for entry in entries]}
    times = output.node_times(json.dumps([{"count": 3}, *entries]), json.dumps(layers))
    assert {name: time.mean_ms for name, time in times.items()} == {"a": 0.75, "c": 1.0}


def test_values_come_back_in_their_shape() -> None:
    found = output.outputs(_text("output.json"))
    assert [values.tolist() for values in found] == [[[0.125, -0.25, pytest.approx(1.5e-05), 3.0]]]


def test_the_summary_is_the_one_of_the_gpu() -> None:
    assert output.summary_ms(_text("log-8.5.txt")) == {
        "min": 2.0,
        "max": 4.25,
        "mean": 2.375,
        "median": 2.25,
    }


def test_settings_are_those_of_the_inference_only() -> None:
    found = output.options_in_force(_text("log-10.9.txt"))
    assert found["Data transfers"] == "Enabled"
    assert found["CUDA Graph"] == "Disabled"
    assert found["Inference Streams"] == "2"
    assert "Percentiles" not in found


def test_a_failure_is_its_first_error() -> None:
    reason = output.failure(_text("log-11-failed.txt"))
    assert reason == "toy.onnx: the two inputs of body.add are of different types"
    assert output.failure("Segmentation fault\n\n") == "Segmentation fault"
    assert output.failure("") == "it printed nothing"


@pytest.mark.parametrize(
    ("code", "printed", "step"),
    [
        (1, "[E] Error[2]: [defaultAllocator.cpp::allocate::19] Cuda failure: out of memory", "close other"),
        (1, "[E] Error[6]: CUDA initialization failure with error: 35", "its driver or GPU does not answer"),
        (1, "[E] Saving engine to file failed.", "free some space on the board"),
        (-9, "[I] Building engine", "signal 9 ended it: look for a process killed for memory"),
        (1, "[E] [TRT] ModelImporter.cpp: Failed to parse ONNX model from file", None),
    ],
)
def test_where_the_board_is_the_cause_there_is_a_step_on_it(
    code: int, printed: str, step: str | None
) -> None:
    found = output.step_on_board(code, printed)
    assert found is None if step is None else str(found).startswith(step)


def test_an_operator_that_is_refused_is_named() -> None:
    # Lines in the form that the parser of TensorRT-RTX 1.7.1 wrote; the network was made up.
    printed = """[01/02/2030-03:04:05] [E] [TRT] ModelImporter.cpp: While parsing node number 1 [Det -> "y"]:
[01/02/2030-03:04:05] [E] [TRT] ModelImporter.cpp:142: --- Begin node ---
Node name: body/det
[01/02/2030-03:04:05] [E] [TRT] ModelImporter.cpp:143: --- End node ---
[01/02/2030-03:04:05] [E] [TRT] ModelImporter.cpp:151: ERROR: onnxOpCheckers.cpp:1130 In function checkDet:
[8] false
&&&& FAILED TensorRT.trtexec [TensorRT v100300]
"""
    assert output.failure(printed) == "TensorRT refuses the operator Det (body/det): it is not supported"
    reason = "[8] Assertion failed: resolved(axes): Axis input must resolve to a build-time constant"
    assert str(output.failure(printed.replace("[8] false", reason))).endswith(
        "(body/det): Axis input must resolve to a build-time constant"
    )


def test_the_log_keeps_warnings_and_what_is_said_of_sparsity() -> None:
    lines = [
        "[01/02/2030-03:04:05] [W] [TRT] a warning",
        "[01/02/2030-03:04:05] [I] [TRT] (Sparsity) Layers eligible for sparse math: a, b",
        "[01/02/2030-03:04:05] [I] [TRT] something else",
    ]
    assert output.notes("\n".join(lines)) == [
        "a warning",
        "(Sparsity) Layers eligible for sparse math: a, b",
    ]


@pytest.mark.parametrize(
    "text",
    ['[{"latencyMs": 1}]', '[{"computeMs": NaN}]', '[{"computeMs": 0}]', '[{"computeMs": -1}]', "[1]", "{"],
)
def test_times_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(DeviceError, match="a file of times in an unknown form"):
        output.sample_times_ms(text)


@given(
    st.text(max_size=50)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Layers", "Name", "name", "averageMs", "values", "dimensions"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ).map(json.dumps)
)
def test_damaged_files_are_one_error_and_never_a_traceback(text: str) -> None:
    for read in (output.sample_times_ms, output.layer_times_ms, engine_layers, output.outputs):
        try:
            read(text)
        except DeviceError as error:
            assert "\n" not in str(error)

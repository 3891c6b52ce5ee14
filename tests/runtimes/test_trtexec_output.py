from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import DeviceError
from hwtickets.runtimes import trtexec
from hwtickets.runtimes import trtexec_output as output
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.tensorrt_layers import engine_layers
from tests import recorded_engine

DATA = Path(__file__).parents[1] / "data" / "trtexec"


def _text(name: str) -> str:
    return (DATA / name).read_text()


#: Folders of what one version each printed and wrote; see the README there.
RECORDED = pytest.mark.parametrize("version", ["trtexec-8.5.3", "trtexec-10.3.0", "trtexec-11.1.0"])


@RECORDED
def test_samples_are_times_on_the_gpu_and_agree_with_what_is_printed(version: str) -> None:
    samples_ms = output.sample_times_ms(_text(f"{version}/times.json"))
    printed_ms = output.summary_ms(_text(f"{version}/timed.log"))
    assert len(samples_ms) >= 12, "as many as were asked for"
    assert min(samples_ms) == pytest.approx(printed_ms["min"], rel=1e-4)
    assert max(samples_ms) == pytest.approx(printed_ms["max"], rel=1e-4)
    assert statistics.median(samples_ms) == pytest.approx(printed_ms["median"], rel=1e-4)


@RECORDED
def test_layers_have_times(version: str) -> None:
    times_ms = output.layer_times_ms(_text(f"{version}/profile.json"))
    assert {"/a/Gemm", "/b/Gemm", "/Relu"} <= set(times_ms)
    assert all(time_ms > 0 for time_ms in times_ms.values())


@RECORDED
def test_values_come_back_by_name_in_their_shape_also_those_that_are_no_numbers(version: str) -> None:
    found = output.outputs(_text(f"{version}/output.json"))
    assert sorted(found) == ["alpha", "mid", "zeta"], "the file has them in no order of the network"
    assert all(values.shape == (1, 4) for values in found.values())
    assert np.isfinite(found["zeta"]).all()
    assert found["alpha"][0, [0, 2]].tolist() == [-math.inf, math.inf]
    assert np.isnan(found["mid"][0, [0, 2]]).all()


@RECORDED
def test_a_time_counts_if_its_settings_were_in_force(version: str) -> None:
    found = output.options_in_force(_text(f"{version}/timed.log"))
    wanted = trtexec.in_force()
    assert {name: found[name] for name in wanted if name in found} == {
        name: value for name, value in wanted.items() if name in found
    }
    assert {"CUDA Graph", "Spin-wait", "Data transfers"} <= set(found)
    assert "Percentiles" not in found, "no settings of other parts"


@RECORDED
def test_a_time_without_a_graph_says_so(version: str) -> None:
    assert output.clock(_text(f"{version}/timed.log")) == "GPU time (trtexec)"
    assert "without a CUDA graph" in output.clock(_text(f"{version}/without-graph.log"))


def test_11_has_no_graphs_on_the_accelerator() -> None:
    found = output.options_in_force(_text("trtexec-11.1.0/on-dla.log"))
    assert found["CUDA Graph"] == "Disabled"
    assert all(found.get(name, value) == value for name, value in trtexec.in_force(dla=True).items())
    assert "without a CUDA graph" in output.clock(_text("trtexec-11.1.0/on-dla.log"))


@pytest.mark.parametrize(
    ("version", "code"), [("trtexec-8.5.3", -6), ("trtexec-10.3.0", 1), ("trtexec-11.1.0", 1)]
)
def test_a_gpu_that_does_not_answer_is_the_boards_fault(version: str, code: int) -> None:
    printed = _text(f"{version}/without-gpu.log")
    assert "CUDA driver version is insufficient" in output.failure(printed)
    assert "its driver or GPU does not answer" in str(output.step_on_board(code, printed))


@RECORDED
def test_warnings_of_a_build_are_kept_and_nothing_is_on_the_accelerator(version: str) -> None:
    printed = _text(f"{version}/built.log")
    assert set(output.notes(printed)) <= {
        "Could not read timing cache from: toy.cache. A new timing cache will be generated and written.",
        "Could not read cache from: toy.cache. A new cache will be generated and written.",
    }
    assert output.notes(printed), "there was no cache of timings yet"
    assert output.placed(printed) == []


@RECORDED
def test_an_option_that_it_does_not_know_is_named(version: str) -> None:
    assert output.failure(_text(f"{version}/unknown-option.log")).startswith("Unknown option: --noSuch")


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


def test_every_layer_of_an_engine_on_a_gpu_has_its_time_and_its_kernel() -> None:
    profile, layers = (_text(f"titan-rtx-mobilenetv2/{name}.json") for name in ("profile", "layers"))
    times = output.node_times(profile, layers)
    known = engine_layers(layers)
    assert [layer.name for layer in known] == list(output.layer_times_ms(profile))
    assert len(times) == len(known) == 73
    assert sum(time.mean_ms for time in times.values()) == pytest.approx(0.4704, abs=1e-4)
    convolutions = [layer for layer in known if layer.kind == "Convolution"]
    assert len(convolutions) == 53
    assert {layer.precision for layer in convolutions} == {"int8"}
    assert all(layer.nodes for layer in convolutions)
    assert not any(layer.sparse for layer in known)


def test_two_layers_of_one_node_are_added_up() -> None:
    entries = [{"name": name, "averageMs": ms} for name, ms in (("a + b", 0.25), ("c", 1.0), ("a + d", 0.5))]
    layers = {"Layers": [entry["name"] for entry in entries]}
    times = output.node_times(json.dumps([{"count": 3}, *entries]), json.dumps(layers))
    assert {name: time.mean_ms for name, time in times.items()} == {"a": 0.75, "c": 1.0}


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
        (1, "[E] Cannot create DLA engine, 0 not available", "it has no DLA: add the device without --dla"),
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

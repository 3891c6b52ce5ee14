from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwtickets.errors import DeviceError, UsageError
from hwtickets.runtimes import trtexec
from hwtickets.runtimes.tensorrt_record import EngineSettings
from hwtickets.runtimes.to_build import ToBuild
from hwtickets.runtimes.trtexec import Offered

DATA = Path(__file__).parents[1] / "data" / "trtexec"


FREE = ToBuild({"x": (3, 8, 8)})


def _offered(version: str) -> Offered:
    return Offered.parsed((DATA / f"trtexec-{version}" / "options.txt").read_text())


@pytest.mark.parametrize(("file", "version"), [("8.5.3", "8503"), ("10.3.0", "100300"), ("11.1.0", "110100")])
def test_the_version_is_read_from_the_first_line(file: str, version: str) -> None:
    assert _offered(file).version == version


def test_8_5_is_told_everything_and_gets_a_precision_flag() -> None:
    offered = _offered("8.5.3")
    assert trtexec.build_arguments(offered, EngineSettings("fp16")) == [
        "--onnx={model}",
        "--saveEngine={plan}",
        "--timingCacheFile={timing_cache}",
        "--profilingVerbosity=detailed",
        "--exportLayerInfo={out:layers}",
        "--buildOnly",
        "--fp16",
        "--sparsity=enable",
    ]
    assert trtexec.timing_arguments(offered, 40) == [
        "--loadEngine={plan}",
        "--iterations=40",
        "--duration=0",
        "--warmUp=200",
        "--sleepTime=0",
        "--idleTime=0",
        "--streams=1",
        "--useCudaGraph",
        "--useSpinWait",
        "--noDataTransfers",
        "--separateProfileRun",
        "--exportTimes={out:times}",
    ]


def test_10_is_strongly_typed_at_every_precision() -> None:
    offered = _offered("10.3.0")
    fp32, fp16 = (trtexec.build_arguments(offered, EngineSettings(each)) for each in ("fp32", "fp16"))
    assert fp32 == fp16
    assert fp16[-3:] == ["--skipInference", "--stronglyTyped", "--sparsity=enable"]
    arguments = trtexec.timing_arguments(offered, 40)
    assert "--infStreams=1" in arguments
    assert {"--useCudaGraph", "--useSpinWait", "--noDataTransfers", "--separateProfileRun"} <= set(arguments)


def test_11_is_not_given_what_it_does_anyway() -> None:
    offered = _offered("11.1.0")
    assert trtexec.build_arguments(offered, EngineSettings("fp16", sparse=False))[-1] == "--skipInference"
    arguments = " ".join(trtexec.timing_arguments(offered, 40))
    assert "use" not in arguments
    assert "noDataTransfers" not in arguments


def test_every_option_that_is_given_is_offered() -> None:
    for version in ("8.5.3", "10.3.0", "11.1.0"):
        offered = _offered(version)
        arguments = [
            *trtexec.build_arguments(offered, EngineSettings("int8", dla=True, workspace_mb=256), FREE),
            *trtexec.profile_arguments(offered, 10, dla=True, sizes={"x": (4, 3, 8, 8)}),
            *trtexec.run_arguments(["x"], dla=True),
        ]
        for argument in arguments:
            assert offered.has(argument.removeprefix("--").partition("=")[0]), (version, argument)


def test_a_batch_that_is_left_open_is_named_when_it_is_built_and_when_it_runs() -> None:
    offered = _offered("10.3.0")
    assert trtexec.build_arguments(offered, EngineSettings("fp16"), FREE)[-3:] == [
        "--minShapes=x:1x3x8x8",
        "--optShapes=x:8x3x8x8",
        "--maxShapes=x:32x3x8x8",
    ]
    sizes = {"x": (4, 3, 8, 8)}
    for arguments in (
        trtexec.timing_arguments(offered, 10, sizes=sizes),
        trtexec.profile_arguments(offered, 10, sizes=sizes),
        trtexec.run_arguments(["x"], sizes=sizes),
    ):
        assert "--shapes=x:4x3x8x8" in arguments


def test_an_engine_that_is_built_anew_knows_no_times_of_earlier_builds() -> None:
    known, anew = (
        trtexec.build_arguments(_offered("8.5.3"), EngineSettings(), ToBuild(anew=anew))
        for anew in (False, True)
    )
    assert [argument for argument in known if argument not in anew] == ["--timingCacheFile={timing_cache}"]


def test_settings_become_arguments_and_tensorrts_own_flags() -> None:
    settings = EngineSettings("fp16", dla=True, workspace_mb=256)
    arguments = trtexec.build_arguments(_offered("8.5.3"), settings)
    assert {"--useDLACore=0", "--allowGPUFallback", "--memPoolSize=workspace:256"} <= set(arguments)
    assert trtexec.flags_set(arguments) == ["SPARSE_WEIGHTS", "FP16", "GPU_FALLBACK"]
    mixed = trtexec.build_arguments(_offered("8.5.3"), EngineSettings("mixed"))
    quantized = trtexec.build_arguments(_offered("8.5.3"), EngineSettings("fp16"), ToBuild(quantized=True))
    assert trtexec.flags_set(mixed) == trtexec.flags_set(quantized) == ["SPARSE_WEIGHTS", "INT8", "FP16"]


@pytest.mark.parametrize(
    ("version", "flags"),
    [("8.5.3", ["--fp16"]), ("10.3.0", ["--fp16"]), ("11.1.0", [])],
)
def test_for_the_accelerator_precisions_are_allowed_where_they_can_be(version: str, flags: list[str]) -> None:
    arguments = trtexec.build_arguments(_offered(version), EngineSettings("fp16", dla=True))
    assert [argument for argument in arguments if argument in ("--fp16", "--stronglyTyped")] == flags
    assert trtexec.strongly_typed(_offered(version), dla=True) == (version == "11.1.0")


@pytest.mark.parametrize("version", ["8.5.3", "10.3.0", "11.1.0"])
def test_an_engine_for_the_accelerator_is_timed_profiled_and_run_on_it(version: str) -> None:
    offered = _offered(version)
    for dla in (False, True):
        for arguments in (
            trtexec.timing_arguments(offered, 10, dla),
            trtexec.profile_arguments(offered, 10, dla),
            trtexec.run_arguments(["x"], dla),
        ):
            assert ("--useDLACore=0" in arguments) == dla


def test_a_precision_that_8_5_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match=r"TensorRT 8\.5\.3 has no bf16; it has fp32, fp16, int8, mixed"):
        trtexec.build_arguments(_offered("8.5.3"), EngineSettings("bf16"))
    assert "--stronglyTyped" in trtexec.build_arguments(_offered("10.3.0"), EngineSettings("bf16"))


def test_what_is_in_force_is_described_whether_said_or_by_default() -> None:
    assert "--useCudaGraph" in trtexec.described(_offered("10.3.0"))
    assert "useCudaGraph by default" in trtexec.described(_offered("11.1.0"))


@pytest.mark.parametrize(
    ("version", "type_"), [("8.5.3", np.int32), ("10.3.0", np.int64), ("11.1.0", np.int64)]
)
def test_words_have_as_many_bits_as_an_engine_takes(version: str, type_: type) -> None:
    words = np.array([[7, 1, 3]])
    bound = trtexec.as_bound(_offered(version), words)
    assert bound.dtype == type_
    np.testing.assert_array_equal(bound, words)
    assert trtexec.as_bound(_offered(version), words.astype(np.float32)).dtype == np.float32


def test_inputs_are_files_by_name() -> None:
    assert "--loadInputs=x:{input0},mask:{input1}" in trtexec.run_arguments(["x", "mask"])


def test_a_program_that_is_no_trtexec_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"lacks --onnx; TensorRT 8\.5 or later"):
        Offered.parsed("usage: something else\n  --help\n")

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwtickets.deploy.kit import kit_files
from tests.export.conftest import Run, framed, make_newer, one_line, run_program
from tests.export.toys import write_toy

classification = pytest.mark.parametrize("task", ["classification"], indirect=True)


def _picture(bundle: Path, height: int, width: int, mode: str = "RGB") -> str:
    """A smooth picture without plain places, as PPM and PNG; the name without the ending."""
    noise = np.random.default_rng(height).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    image.save(bundle / "picture.png")
    image.save(bundle / "picture.ppm")
    return "picture"


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


def test_outputs_are_those_of_python(bundle: Path, python: Run, cpp: Run) -> None:
    by_python = python("check", "--output", "python.npy")
    by_cpp = cpp("check", "--output", "cpp.npy")
    assert by_cpp.returncode == 0, by_cpp.stderr
    assert by_cpp.stdout == by_python.stdout
    np.testing.assert_array_equal(np.load(bundle / "cpp.npy"), np.load(bundle / "python.npy"))


# Smaller than the network's input, larger, wide and high; the toy networks take grey or coloured images.
@pytest.mark.parametrize(("height", "width"), [(3, 5), (37, 101), (240, 90)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_images_show_what_they_show_to_python(
    bundle: Path, python: Run, cpp: Run, task: str, height: int, width: int, mode: str
) -> None:
    name = _picture(bundle, height, width, mode)
    options = {"classification": ["--top", "2"], "segmentation": [], "keypoints": []}[task]
    by_python, by_cpp = python("predict", *options, f"{name}.png"), cpp("predict", *options, f"{name}.ppm")
    assert by_cpp.returncode == 0, by_cpp.stderr
    words = [re.sub(r"-?\d+\.\d+|picture\S*", "", done.stdout) for done in (by_python, by_cpp)]
    assert words[0] == words[1]
    # A pixel may be rounded the other way.
    atol = {"classification": 0.3, "segmentation": 1.0, "keypoints": 0.01 * max(height, width)}[task]
    np.testing.assert_allclose(_numbers(by_cpp.stdout), _numbers(by_python.stdout), atol=atol)
    if task == "segmentation":
        maps = [np.asarray(Image.open(bundle / f"{name}.classes.{kind}")) for kind in ("png", "pgm")]
        assert (maps[0] != maps[1]).mean() < 0.01 and maps[0].shape == (height, width)


@classification
def test_the_share_of_an_image_that_was_scored_is_cut_out(bundle: Path, cpp: Run) -> None:
    assert cpp("predict", framed(bundle, 1)).stdout.startswith("framed.ppm: dark ")
    assert cpp("predict", framed(bundle, 0.5)).stdout == "framed.ppm: bright 98.2 %\n"


@classification
def test_a_network_that_is_newer_than_the_runtime_is_one_line(bundle: Path, cpp: Run) -> None:
    make_newer(bundle)
    assert "; it is too old: 1.16 or later is needed; configure the runner" in one_line(cpp("check"))


def test_a_bundle_for_a_gpu_does_not_compute_on_the_cpu(tmp_path: Path, built: Path) -> None:
    bundle = write_toy(tmp_path / "bundle", "classification", runtime="onnxruntime-cuda")
    said = one_line(run_program(built, "check", ".", folder=bundle))
    assert said.startswith("error: this bundle is for a GPU, and ONNX Runtime ")
    assert "-DONNXRUNTIME_ROOT=" in said


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_other_kinds_of_files_are_decoded(bundle: Path, cpp: Run, mode: str) -> None:
    name = _picture(bundle, 37, 101)
    Image.open(bundle / f"{name}.png").convert(mode).save(bundle / "other.png")
    Image.open(bundle / "other.png").convert("RGB").save(bundle / "other.ppm")
    decoded = cpp("predict", "other.png")
    if "is no PPM or PGM file" in decoded.stderr:
        pytest.skip("stb_image.h is not installed")
    assert decoded.returncode == 0, decoded.stderr
    assert decoded.stdout.replace(".png:", ".ppm:") == cpp("predict", "other.ppm").stdout
    (bundle / "cut.png").write_bytes((bundle / "other.png").read_bytes()[:60])
    assert "cut.png is" in one_line(cpp("predict", "cut.png"))


@pytest.mark.parametrize("task", ["keypoints"], indirect=True)
def test_a_box_is_taken(bundle: Path, python: Run, cpp: Run) -> None:
    name = _picture(bundle, 120, 80)
    box = "--box=11.5,20,40,70.25"
    by_python = python("predict", box, f"{name}.png")
    by_cpp = cpp("predict", "--box", box.partition("=")[2], f"{name}.ppm")
    np.testing.assert_allclose(_numbers(by_cpp.stdout), _numbers(by_python.stdout), atol=0.11)
    assert "--box needs" in one_line(cpp("predict", "--box", "1,2,0,4", f"{name}.ppm"))


@classification
def test_the_time_is_told_for_people_and_programs(cpp: Run) -> None:
    timed = json.loads(cpp("benchmark", "--runs", "30", "--json").stdout)
    assert (timed["runs"], timed["threads"]) == (30, 1) and timed["runtime"].startswith("ONNX Runtime 1.")
    for clock in ("wall_ms", "cpu_ms"):
        assert 0 < timed[clock]["p50"] <= timed[clock]["p90"] <= timed[clock]["p99"]
    lines = cpp("benchmark", "--runs", "5", "--threads", "2").stdout.splitlines()
    assert ", 2 thread(s), 5 runs" in lines[0] and lines[1].startswith("wall clock: p50 ")
    assert len(lines) == 2


@pytest.mark.parametrize("wrong", [0.5, float("nan")])
@classification
def test_other_outputs_than_pytorchs_are_found(bundle: Path, cpp: Run, wrong: float) -> None:
    expected = np.load(bundle / "samples" / "expected.npy")
    expected[2, 1] += wrong
    np.save(bundle / "samples" / "expected.npy", expected)
    assert "the outputs differ from PyTorch's" in one_line(cpp("check"), code=5)


@classification
@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("model.onnx", "x", "ONNX Runtime 1."),
        ("model.txt", "task classification\n", "input_shape"),
        ("model.txt", "input_shape one 2\n", "numbers are expected"),
        ("model.txt", "input_shape 1 0\n", "a size is expected"),
        ("samples/inputs.npy", "x", "samples/inputs.npy is damaged"),
    ],
)
def test_a_damaged_bundle_is_one_line(bundle: Path, cpp: Run, name: str, text: str, reason: str) -> None:
    (bundle / name).write_text(text)
    assert reason in one_line(cpp("check"))


@classification
def test_another_network_or_none_is_one_line_with_the_next_step(bundle: Path, cpp: Run) -> None:
    other = write_toy(bundle / "other", "segmentation")
    shutil.copy(other / "model.onnx", bundle / "model.onnx")
    assert one_line(cpp("check")).endswith("; copy model.onnx again, or export it again\n")
    (bundle / "model.onnx").unlink()
    assert "there is no ./model.onnx; where the bundle is packed: python3 unpack.py" in one_line(cpp("check"))


@classification
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"notes", "bad.ppm is no "),
        (b"P6\n# comment\n4 4\n255\n12", "ends too early"),
        (b"P6\n99999 99999\n255\n", "is damaged"),
        (b"P6\n4 4\n65535\n", "is damaged"),
        (b"P5\n-4 4\n255\n", "is damaged"),
    ],
)
def test_a_damaged_image_is_one_line(bundle: Path, cpp: Run, data: bytes, reason: str) -> None:
    (bundle / "bad.ppm").write_bytes(data)
    assert reason in one_line(cpp("predict", "bad.ppm"))


@classification
def test_a_wrong_request_is_one_line(bundle: Path, built: Path, cpp: Run) -> None:
    assert "unknown verb 'chek'" in one_line(cpp("chek"), code=2)
    assert "needs an image" in one_line(cpp("predict"))
    assert "there is no image none.ppm" in one_line(cpp("predict", "none.ppm"))
    assert "unknown option --fast" in one_line(cpp("check", "--fast", "1"))
    assert "--runs needs a whole number" in one_line(cpp("benchmark", "--runs", "0"))
    assert "--runs needs a value" in one_line(cpp("benchmark", "--runs"))
    assert "a verb and a bundle" in one_line(run_program(built, "check", folder=bundle))
    assert "there is no nowhere/model.txt" in one_line(run_program(built, "check", "nowhere", folder=bundle))
    assert run_program(built, "--help", folder=bundle).stdout.startswith("usage: runner predict")


@classification
def test_without_the_runtime_cmake_says_what_to_do(bundle: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    assert all((bundle / name).is_file() for name in kit_files("onnxruntime", "classification"))
    hidden = ["-DONNXRUNTIME_INCLUDE_DIR=ONNXRUNTIME_INCLUDE_DIR-NOTFOUND", "-DCMAKE_FIND_ROOT_PATH=/nowhere"]
    hidden += ["-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY", "-DONNXRUNTIME_ROOT=/nowhere"]
    done = run_program("cmake", "-S", "cpp", "-B", "build", *hidden, folder=bundle)
    assert done.returncode == 1
    assert "onnxruntime_c_api.h was not found" in done.stderr and "-DONNXRUNTIME_ROOT=" in done.stderr

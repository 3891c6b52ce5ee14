from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwtickets.resources import resource_dir
from hwtickets.tasks.keypoints.affine import crop_matrices, inverse, mapped
from hwtickets.tasks.keypoints.crops import crops_of
from hwtickets.tasks.keypoints.heatmaps import read_heatmaps
from tests.export.conftest import Run, framed, make_newer, one_line, run_program
from tests.export.toys import write_toy

classification = pytest.mark.parametrize("task", ["classification"], indirect=True)
segmentation = pytest.mark.parametrize("task", ["segmentation"], indirect=True)
keypoints = pytest.mark.parametrize("task", ["keypoints"], indirect=True)


@pytest.mark.parametrize("package", ["torch", "hwtickets", "onnx", "PIL"])
def test_the_environment_of_these_tests_is_that_of_a_board(
    boards: Callable[..., Path], package: str, tmp_path: Path
) -> None:
    board = boards("numpy", "onnxruntime")
    assert run_program(board, "-c", "import numpy, onnxruntime", folder=tmp_path).returncode == 0
    missing = run_program(board, "-c", f"import {package}", folder=tmp_path)
    assert f"No module named '{package}'" in missing.stderr


@pytest.mark.parametrize("path", sorted(resource_dir("export").glob("*/*.py")), ids=lambda path: path.name)
def test_runners_have_the_syntax_of_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@classification
def test_an_image_is_cut_to_its_middle_and_classified(bundle: Path, python: Run) -> None:
    wide = np.zeros((8, 24), dtype=np.uint8)
    wide[:, 6:18] = 255
    Image.fromarray(wide).save(bundle / "wide.png")
    # The middle square and its edges are white: mean (1 - 0.5) / 0.25 = 2, softmax of (-2, 2).
    assert python("predict", "--top", "2", "wide.png").stdout == "wide.png: bright 98.2 %, dark 1.8 %\n"


@classification
def test_the_share_of_an_image_that_was_scored_is_cut_out(bundle: Path, python: Run) -> None:
    assert python("predict", framed(bundle, 1)).stdout.startswith("framed.ppm: dark ")
    assert python("predict", framed(bundle, 0.5)).stdout == "framed.ppm: bright 98.2 %\n"


@segmentation
@pytest.mark.parametrize("factor", [1, 3])
def test_every_pixel_of_an_image_gets_its_class(bundle: Path, python: Run, factor: int) -> None:
    # Flatter than the network's input: the rows below are filled with the mean colour and cut off again.
    image = np.zeros((8 * factor, 32 * factor), dtype=np.uint8)
    image[:, 16 * factor :] = 255
    Image.fromarray(image).save(bundle / "half.png")
    done = python("predict", "half.png")
    assert done.stdout == "half.png: dark 50.0 %, bright 50.0 % -> half.classes.png\n", done.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(bundle / "half.classes.png")), image // 255)


@keypoints
@pytest.mark.parametrize("box", [None, (10, 5, 20, 41)])
def test_joints_are_where_the_task_finds_them(
    bundle: Path, python: Run, box: tuple[int, int, int, int] | None
) -> None:
    pixels = np.random.default_rng(1).integers(0, 120, (60, 40, 3), dtype=np.uint8)
    for channel, (x, y) in enumerate([(12, 8), (25, 31), (18, 44)]):
        pixels[y - 3 : y + 4, x - 3 : x + 4, channel] = 255
    Image.fromarray(pixels).save(bundle / "person.png")
    done = python("predict", "person.png", *([f"--box={','.join(map(str, box))}"] if box else []))
    found = re.findall(r"(\w+ hand) (\S+),(\S+) \((\S+)\)", done.stdout)
    matrices = crop_matrices(np.array([box or (0, 0, 40, 60)], dtype=np.float64), (32, 24))

    class OnePicture:
        def picture(self, number: int) -> Image.Image:
            return Image.fromarray(pixels)

    crops = crops_of(OnePicture(), np.zeros(1, dtype=np.int64), matrices, (32, 24)).numpy()  # type: ignore[arg-type]
    # Undo the task's normalisation: the toy network has none of its own.
    crops = crops * np.reshape([0.229, 0.224, 0.225], (3, 1, 1)) + np.reshape(
        [0.485, 0.456, 0.406], (3, 1, 1)
    )
    heatmaps = crops.reshape(1, 3, 8, 4, 6, 4).mean((3, 5)).astype(np.float32)
    places, heights = read_heatmaps(heatmaps)
    expected = mapped(inverse(matrices), places)[0]
    assert [name for name, *_ in found] == ["red hand", "green hand", "blue hand"], done.stderr
    actual = np.array([[float(value) for value in values] for _, *values in found])
    np.testing.assert_allclose(actual[:, :2], expected, atol=0.051)
    np.testing.assert_allclose(actual[:, 2], heights[0], atol=0.0051)


def test_an_array_is_taken_as_it_is_and_without_pillow(
    task: str, bundle: Path, boards: Callable[..., Path]
) -> None:
    shape = json.loads((bundle / "model.json").read_text())["input"]["shape"]
    np.save(bundle / "white.npy", np.full((*shape[2:], shape[1]), 255, dtype=np.uint8))
    board = boards("numpy", "onnxruntime")
    done = run_program(board, "run.py", "predict", "white.npy", folder=bundle)
    corner = ", ".join(f"{colour} hand 1.5,1.5 (1.00)" for colour in ("red", "green", "blue"))
    shown = {
        "classification": "bright 98.2 %",
        "segmentation": "bright 100.0 % -> white.classes.npy",
        "keypoints": corner,
    }
    assert done.stdout == f"white.npy: {shown[task]}\n", done.stderr
    Image.new("L", (8, 8)).save(bundle / "grey.png")
    missing = run_program(board, "run.py", "predict", "grey.png", folder=bundle)
    assert one_line(missing) == "error: Pillow is needed for grey.png: python3 -m pip install pillow\n"


@classification
@pytest.mark.parametrize(
    ("array", "reason"),
    [(np.zeros((4, 5)), "the network takes (4, 4, 1)"), (np.full((4, 4), 300), "outside 0..255")],
)
def test_what_the_network_cannot_take_is_one_line(
    bundle: Path, python: Run, array: np.ndarray, reason: str
) -> None:
    np.save(bundle / "bad.npy", array)
    assert reason in one_line(python("predict", "bad.npy"))


@classification
def test_a_file_that_is_no_image_is_one_line(bundle: Path, python: Run) -> None:
    (bundle / "notes.txt").write_text("x")
    assert "notes.txt" in one_line(python("predict", "notes.txt"))


def test_the_samples_are_checked_and_timed(bundle: Path, python: Run) -> None:
    done = python("check", "--output", "mine.npy")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"5 samples: max abs difference 0 \(0 of .*, same decisions 100.00 %\n", done.stdout)
    expected = np.load(bundle / "samples" / "expected.npy")
    np.testing.assert_array_equal(np.load(bundle / "mine.npy"), expected)
    timed = json.loads(python("benchmark", "--runs", "20", "--json").stdout)
    assert (timed["runs"], timed["threads"]) == (20, 1) and timed["first_ms"] > 0
    for clock in ("wall_ms", "cpu_ms"):
        assert 0 < timed[clock]["p50"] <= timed[clock]["p90"] <= timed[clock]["p99"]
    assert "p50" in python("benchmark", "--runs", "20", "--threads", "2").stdout


@pytest.mark.parametrize("wrong", [0.5, float("nan")])
@classification
def test_other_outputs_than_pytorchs_are_found(bundle: Path, python: Run, wrong: float) -> None:
    expected = np.load(bundle / "samples" / "expected.npy")
    expected[2, 1] += wrong
    np.save(bundle / "samples" / "expected.npy", expected)
    assert "the outputs differ from PyTorch's" in one_line(python("check"), code=5)


@classification
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.onnx", "x"),
        ("model.onnx", None),
        ("model.json", "{"),
        ("model.json", "[]"),
        ("model.json", '{"task": "classification"}'),
        ("samples/inputs.npy", "x"),
        ("samples/expected.npy", None),
    ],
)
def test_a_damaged_bundle_is_one_line_that_names_the_file(
    bundle: Path, python: Run, name: str, text: str | None
) -> None:
    (bundle / name).unlink() if text is None else (bundle / name).write_text(text)
    assert str(bundle / name) in one_line(python("check"))


@classification
def test_another_network_or_samples_of_another_shape_are_refused(bundle: Path, python: Run) -> None:
    np.save(bundle / "samples" / "inputs.npy", np.zeros((5, 1, 8, 8), np.float32))
    assert "inputs.npy has the shape (5, 1, 8, 8), not [1, 1, 4, 4]; copy" in one_line(python("benchmark"))
    other = write_toy(bundle / "other", "segmentation")
    shutil.copy(other / "model.onnx", bundle / "model.onnx")
    assert "model.onnx is damaged, or not the network of model.json; copy" in one_line(python("check"))


def test_a_task_without_reader_of_images_can_be_checked(tmp_path: Path, boards: Callable[..., Path]) -> None:
    bundle = write_toy(tmp_path / "bundle", "segmentation", named="depth")
    board = boards("numpy", "onnxruntime")
    assert run_program(board, "run.py", "check", folder=bundle).returncode == 0
    assert run_program(board, "run.py", "predict", "x.png", folder=bundle).returncode == 2


@classification
def test_a_missing_runtime_is_one_line(bundle: Path, boards: Callable[..., Path]) -> None:
    done = run_program(boards("numpy"), "run.py", "check", folder=bundle)
    assert one_line(done) == "error: ONNX Runtime is needed: python3 -m pip install onnxruntime\n"


@classification
def test_a_network_that_is_newer_than_the_runtime_is_one_line(bundle: Path, python: Run) -> None:
    make_newer(bundle)
    said = one_line(python("check"))
    assert "Unsupported model IR version: 99" in said
    assert said.endswith("; 1.16 or later is needed: python3 -m pip install --upgrade onnxruntime\n")


def test_a_bundle_for_a_gpu_does_not_compute_on_the_cpu(tmp_path: Path, boards: Callable[..., Path]) -> None:
    bundle = write_toy(tmp_path / "bundle", "classification", runtime="onnxruntime-cuda")
    said = one_line(run_program(boards("numpy", "onnxruntime"), "run.py", "check", folder=bundle))
    assert said.startswith("error: this bundle is for a GPU, and ")

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwtickets.files import sha256_of
from tests.export.conftest import one_line, run_program
from tests.export.toys import write_toy

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs openvino: pip install 'hwtickets[openvino]'"
)


@pytest.fixture
def kit(task: str, tmp_path: Path) -> Path:
    return write_toy(tmp_path / "bundle", task, kit="openvino")


@pytest.fixture
def board(boards: Callable[..., Path]) -> Path:
    """A Python with numpy and OpenVINO, without torch, ONNX Runtime and hwtickets."""
    return boards("numpy", "openvino")


def test_the_samples_are_checked_and_an_image_is_read(kit: Path, board: Path, task: str) -> None:
    done = run_program(board, "run.py", "check", "--output", "mine.npy", folder=kit)
    assert done.returncode == 0 and "same decisions 100.00 %" in done.stdout, done.stderr
    expected = np.load(kit / "samples" / "expected.npy")
    np.testing.assert_allclose(np.load(kit / "mine.npy"), expected, atol=1e-5)
    shape = json.loads((kit / "model.json").read_text())["input"]["shape"]
    np.save(kit / "white.npy", np.full((*shape[2:], shape[1]), 255, dtype=np.uint8))
    shown = run_program(board, "run.py", "predict", "white.npy", folder=kit).stdout
    corner = ", ".join(f"{colour} hand 1.5,1.5 (1.00)" for colour in ("red", "green", "blue"))
    words = {
        "classification": "bright 98.2 %",
        "segmentation": "bright 100.0 % -> white.classes.npy",
        "keypoints": corner,
    }
    assert shown == f"white.npy: {words[task]}\n"


@pytest.mark.parametrize("task", ["classification"], indirect=True)
def test_an_image_file_is_classified_and_the_network_timed(kit: Path, boards: Callable[..., Path]) -> None:
    Image.new("L", (9, 5), 255).save(kit / "white.png")
    board = boards("numpy", "openvino", "PIL")
    done = run_program(board, "run.py", "predict", "white.png", folder=kit)
    assert done.stdout == "white.png: bright 98.2 %\n", done.stderr
    timed = json.loads(run_program(board, "run.py", "benchmark", "--runs", "20", "--json", folder=kit).stdout)
    assert (timed["runs"], timed["threads"]) == (20, 1) and timed["runtime"].startswith("OpenVINO 20")
    for clock in ("wall_ms", "cpu_ms"):
        assert 0 < timed[clock]["p50"] <= timed[clock]["p90"] <= timed[clock]["p99"]


@pytest.mark.parametrize("task", ["classification"], indirect=True)
def test_what_is_missing_or_damaged_is_one_line(kit: Path, board: Path, boards: Callable[..., Path]) -> None:
    missing = run_program(boards("numpy"), "run.py", "check", folder=kit)
    assert one_line(missing) == "error: OpenVINO is needed: python3 -m pip install openvino\n"
    (kit / "model.onnx").write_bytes(b"x")
    assert "is damaged, or not the network of" in one_line(run_program(board, "run.py", "check", folder=kit))
    facts = json.loads((kit / "model.json").read_text())
    facts["onnx_sha256"] = sha256_of(kit / "model.onnx")
    (kit / "model.json").write_text(json.dumps(facts))
    damaged = run_program(board, "run.py", "check", folder=kit)
    # OpenVINO's other readers may say something before.
    assert damaged.returncode == 1 and "Traceback" not in damaged.stderr
    last = damaged.stderr.splitlines()[-1]
    assert last.startswith("error: OpenVINO 20") and str(kit / "model.onnx") in last
    (kit / "model.onnx").unlink()
    assert "python unpack.py" in one_line(run_program(board, "run.py", "check", folder=kit))

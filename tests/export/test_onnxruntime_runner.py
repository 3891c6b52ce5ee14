from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from hwtickets.resources import resource_dir


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose network answers "bright" if the mean of the normalised image is above 0."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("Neg", ["mean"], ["negative"]),
        helper.make_node("Concat", ["negative", "mean"], ["y"], axis=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph(nodes, "brightness", [x], [y])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, tmp_path / "model.onnx")
    preprocessing = {"resolution": 4, "channels": 1, "mean": [0.5], "std": [0.25], "layout": "NCHW"}
    description = {"classes": ["dark", "bright"], "preprocessing": preprocessing}
    (tmp_path / "model.json").write_text(json.dumps(description))
    shutil.copy(resource_dir("export") / "onnxruntime" / "run.py", tmp_path)
    return tmp_path


def _run(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", *arguments], cwd=bundle, capture_output=True, text=True, check=False
    )


def test_an_image_is_cut_to_its_middle_and_classified(bundle: Path) -> None:
    wide = np.zeros((8, 24), dtype=np.uint8)
    wide[:, 6:18] = 255
    Image.fromarray(wide).save(bundle / "wide.png")
    done = _run(bundle, "--top", "2", "--runs", "3", "wide.png")
    assert done.returncode == 0, done.stderr
    # The middle square and its edges are white: mean (1 - 0.5) / 0.25 = 2, softmax of (-2, 2).
    assert done.stdout.splitlines()[0] == "wide.png: bright 98.2 %, dark 1.8 %"
    assert done.stdout.splitlines()[1].startswith("3 runs: p50 ")


def test_an_array_is_taken_as_it_is(bundle: Path) -> None:
    np.save(bundle / "black.npy", np.zeros((4, 4), dtype=np.uint8))
    assert _run(bundle, "black.npy").stdout == "black.npy: dark 98.2 %\n"


@pytest.mark.parametrize(
    ("array", "reason"),
    [(np.zeros((4, 5)), "the network takes (4, 4, 1)"), (np.full((4, 4), 300), "outside 0..255")],
)
def test_what_the_network_cannot_take_is_one_line(bundle: Path, array: np.ndarray, reason: str) -> None:
    np.save(bundle / "bad.npy", array)
    done = _run(bundle, "bad.npy")
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_no_image_is_one_line(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("x")
    done = _run(bundle, "notes.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1

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
    """A bundle whose network calls every place "bright" whose mean over 4x4 pixels is above 0."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["mean"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Neg", ["mean"], ["negative"]),
        helper.make_node("Concat", ["negative", "mean"], ["y"], axis=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 16, 32])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 8])
    graph = helper.make_graph(nodes, "brightness", [x], [y])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, tmp_path / "model.onnx")
    preprocessing = {"resolution": [16, 32], "channels": 1, "mean": [0.5], "std": [0.25], "layout": "NCHW"}
    description = {"task": "segmentation", "classes": ["dark", "bright"], "preprocessing": preprocessing}
    (tmp_path / "model.json").write_text(json.dumps(description))
    for name in ("run.py", "segment.py"):
        shutil.copy(resource_dir("export") / "onnxruntime" / name, tmp_path)
    return tmp_path


def _run(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=bundle, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("factor", [1, 3])
def test_every_pixel_of_an_image_gets_its_class(bundle: Path, factor: int) -> None:
    # Flatter than the network's input: the rows below are filled with the mean colour and cut off again.
    image = np.zeros((8 * factor, 32 * factor), dtype=np.uint8)
    image[:, 16 * factor :] = 255
    Image.fromarray(image).save(bundle / "half.png")
    done = _run(bundle, "segment.py", "half.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "half.png: dark 50.0 %, bright 50.0 % -> half.classes.png\n"
    np.testing.assert_array_equal(np.asarray(Image.open(bundle / "half.classes.png")), image // 255)


@pytest.mark.parametrize(
    ("runner", "task"),
    [("run.py", "segmentation"), ("run.py", "keypoints"), ("segment.py", "classification")],
)
def test_the_wrong_runner_says_so(bundle: Path, runner: str, task: str) -> None:
    description = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps({**description, "task": task}))
    done = _run(bundle, runner, "half.png")
    assert (done.returncode, done.stderr) == (1, f"error: this network is for {task}, see README.md\n")

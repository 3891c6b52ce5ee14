"""Runners in Python 3.8 itself, where one with numpy, ONNX Runtime and Pillow is first on the PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwtickets.deploy.packed import pack_bundle
from tests.export.conftest import Run, run_program


@pytest.fixture
def old(bundle: Path) -> Run:
    """Runs a program of the bundle in Python 3.8."""
    python = shutil.which("python3.8")
    needed = [python or "", "-c", "import numpy, onnxruntime, PIL"]
    if python is None or subprocess.run(needed, capture_output=True).returncode:
        pytest.skip("there is no Python 3.8 with numpy, ONNX Runtime and Pillow on the PATH")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program(python, *arguments, folder=bundle)

    return run


def test_a_bundle_runs_in_python_3_8(bundle: Path, task: str, old: Run) -> None:
    pack_bundle(bundle)
    assert old("unpack.py").returncode == 0
    checked = old("run.py", "check", "--output", "mine.npy")
    assert checked.returncode == 0, checked.stderr
    np.testing.assert_array_equal(np.load(bundle / "mine.npy"), np.load(bundle / "samples" / "expected.npy"))
    assert json.loads(old("run.py", "benchmark", "--runs", "5", "--json").stdout)["runs"] == 5
    Image.new("RGB", (40, 30), "white").save(bundle / "white.png")
    shown = old("run.py", "predict", "white.png").stdout
    said = {"classification": "bright 98.2 %", "segmentation": "bright 100.0 %", "keypoints": "red hand"}
    assert said[task] in shown
    version = old("-c", "import sys; print(sys.version_info[:2])")
    assert version.stdout == "(3, 8)\n"

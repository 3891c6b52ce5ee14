from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwtickets.deploy.bundle import write_bundle

ROOT = Path(__file__).parents[2]


def test_runners_compute_what_hwtickets_computes(ticket_folder: Path, tmp_path: Path) -> None:
    bundle = write_bundle(ticket_folder, tmp_path / "bundle")
    line = [sys.executable, "-m", "benchmarks.runners", str(bundle), "--json"]
    line += ["--rounds", "1", "--runs", "20"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if "onnxruntime_c_api.h was not found" in done.stderr or "is not installed" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)["bundles"]
    assert result["between_runners"] == 0
    assert max(result["largest_difference"].values()) <= 1e-6 * result["largest_output"]
    assert set(result["ratio"]) == {"hwtickets again", "run.py", "cpp/runner"}
    assert all(ratio["low"] <= ratio["median"] <= ratio["high"] for ratio in result["ratio"].values())

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.loopback import missing_reason

ROOT = Path(__file__).parents[2]
CONFIG = """
supernet: {name: mobile, sizes: {stem_channels: 8, stages: [[16, 1, 1]], expand_ratio: 2, kernel_sizes: [3]}}
latency: 60%
"""


def test_kills_cost_a_table_nothing(tmp_path: Path) -> None:
    if reason := missing_reason():
        pytest.skip(reason)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    options = ["--config", str(tmp_path / "tiny.yaml"), "--networks", "6", "--kills", "1", "--json"]
    line = [sys.executable, "-m", "benchmarks.remote", *options]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"]["kills"] == 1
    assert result["kills"]["measured_twice"] == 0
    assert result["kills"]["same_plan"] and result["kills"]["same_rows"] and result["kills"]["same_error"]
    assert list(result["tables"]) == ["local", "ssh", "local again"]

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_loading_reports_a_rate_of_every_source() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("HWTICKETS_DATA", None)
    line = [sys.executable, "-m", "benchmarks.loading", "--batches", "1", "--batch-size", "4", "--json"]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)["points"]
    assert {name: point["input"] for name, point in points.items()} == {
        "fashion-mnist-small": [1, 28, 28],
        "photographs": [3, 224, 224],
    }
    assert all(point[how] > 0 for point in points.values() for how in ("alone", "ahead"))

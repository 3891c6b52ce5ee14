from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwtickets.devices import DeviceProfile
from hwtickets.devices.registry import save_profile

_PROGRAM = """
import atexit, os, sys
from hwtickets.cli.main import main
assert "torch" not in sys.modules
atexit.register(lambda: print(os.environ["OMP_WAIT_POLICY"]))
main()
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_give_way_unless_the_user_says_otherwise(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "--version"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize(
    "line", ["devices list", "devices show orin", "devices check orin", "table info v100"]
)
def test_what_needs_no_network_answers_without_torch(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path))
    save_profile(DeviceProfile(name="orin", description="a board", connection="none", runtime="trtexec"))
    program = (
        "import sys; from hwtickets.cli.main import run; run(sys.argv[1:]); assert 'torch' not in sys.modules"
    )
    words = [sys.executable, "-c", program, *line.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

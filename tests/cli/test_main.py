from __future__ import annotations

import os
import subprocess
import sys

import pytest

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

"""Under torchrun one process runs the command line, and the others wait to help it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from hwtickets import __version__

LINE = "from hwtickets.cli.main import main; main()"


def test_only_the_first_process_runs_the_command() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LINE, "--version"],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        outputs = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert outputs == [f"hwtickets {__version__}\n", ""]
    assert [process.returncode for process in processes] == [0, 0]

"""Lost connections, killed agents and full disks in the middle of a measurement."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.loopback import Loopback
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.devices.ssh.client import AgentClient
from hwtickets.errors import DeviceError
from hwtickets.resources import resource_dir
from hwtickets.runtimes.bench import Bench
from hwtickets.runtimes.onnxruntime import Array

_LONG_S = 1.5


def _agent_pid(loopback: Loopback, host: str = "board") -> int:
    """The agent that holds a board; 0 if none does."""
    with contextlib.suppress(ValueError, OSError):
        pid = int(json.loads((loopback.folder / f"{host}-cache" / "lock").read_text())["pid"])
        # The number of an agent that has ended may be another process's by now.
        if b"hwtickets-agent" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def _kill_agent(loopback: Loopback) -> None:
    pid = _agent_pid(loopback)
    assert pid, "to kill process 0 would end all tests"
    os.kill(pid, signal.SIGKILL)


def _ssh_clients() -> list[int]:
    """The ssh processes that this process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, name, _, parent, *_ = path.read_text().split()
            if name == "(ssh)" and int(parent) == os.getpid():
                found.append(int(pid))
    return found


def _time_while(
    bench: Bench, model: bytes, inputs: dict[str, Array], interrupt: Callable[[], None]
) -> list[float]:
    """Samples of a measurement that something happens to after half a second."""
    bench.run(model, [inputs])
    timer = threading.Timer(_LONG_S / 3, interrupt)
    timer.start()
    try:
        return bench.time({"a": model}, inputs, 10**6, seconds=_LONG_S)["a"].samples_ms
    finally:
        timer.join()


def test_a_killed_agent_is_started_again_and_only_the_call_under_way_repeated(
    loopback: Loopback, board: DeviceProfile, large_model: bytes, large_inputs: dict[str, Array]
) -> None:
    with open_bench(board) as bench:
        before = _agent_pid(loopback)
        samples = _time_while(bench, large_model, large_inputs, lambda: _kill_agent(loopback))
        assert samples
        assert _agent_pid(loopback) not in (0, before)


def test_a_lost_connection_is_made_again(
    loopback: Loopback, board: DeviceProfile, large_model: bytes, large_inputs: dict[str, Array]
) -> None:
    def cut() -> None:
        for pid in _ssh_clients():
            os.kill(pid, signal.SIGKILL)

    with open_bench(board) as bench:
        before = _agent_pid(loopback)
        assert _time_while(bench, large_model, large_inputs, cut)
        assert _agent_pid(loopback) not in (0, before)


def test_an_agent_that_dies_every_time_is_given_up(
    loopback: Loopback, board: DeviceProfile, large_model: bytes, large_inputs: dict[str, Array]
) -> None:
    over = threading.Event()

    def kill_all() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(OSError):
                pid = _agent_pid(loopback)
                # Only one that times by now: it has loaded the runtime.
                if pid and "onnxruntime" in Path(f"/proc/{pid}/maps").read_text():
                    os.kill(pid, signal.SIGKILL)

    with (
        open_bench(board) as bench,
        pytest.raises(DeviceError, match=r"the agent was lost 3 times in 'time'"),
    ):
        killer = threading.Thread(target=kill_all)
        killer.start()
        try:
            bench.time({"a": large_model}, large_inputs, 10**6, seconds=_LONG_S)
        finally:
            over.set()
            killer.join()


def test_a_board_that_stays_away_is_given_up_after_the_patience(
    loopback: Loopback, make_profile: Callable[..., DeviceProfile]
) -> None:
    loopback.add("leaving")
    agent = AgentClient(make_profile("leaving"), patience_s=0.5)
    agent.facts()
    loopback.remove("leaving")
    for pid in _ssh_clients():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match="leaving refuses connections"):
        agent.facts()
    agent.close()


@pytest.fixture
def other_client(loopback: Loopback) -> Iterator[subprocess.Popen[bytes]]:
    """Another client's agent, which holds the board."""
    environment = {**os.environ, "HWTICKETS_AGENT_CACHE": str(loopback.folder / "board-cache")}
    program = resource_dir("export") / "agent" / "agent.py"
    command = [sys.executable, "-u", str(program), "hwtickets-agent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdin is not None and process.stdout is not None
    client = {"token": "another", "label": "alice@desk (process 7)"}
    process.stdin.write(json.dumps({"id": 1, "op": "open", "client": client}).encode() + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    assert b"result" in process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_board_that_another_client_has_is_refused_with_its_name(
    board: DeviceProfile, other_client: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(DeviceError) as caught:
        open_bench(board)
    text = str(caught.value)
    assert "board: in use by alice@desk (process 7) since 2" in text
    assert text.endswith(f"wait for it, or end it on the board: kill {other_client.pid}")


def test_a_dead_clients_lock_is_free_and_its_name_is_told(
    board: DeviceProfile, other_client: subprocess.Popen[bytes]
) -> None:
    other_client.kill()
    other_client.wait()
    agent = AgentClient(board)
    facts = agent.facts()
    agent.close()
    assert facts.in_use_by is None
    assert facts.left_by is not None
    assert facts.left_by["label"] == "alice@desk (process 7)"
    open_bench(board).close()


def test_a_closed_bench_frees_the_board(loopback: Loopback, board: DeviceProfile) -> None:
    open_bench(board).close()
    limit_s = time.monotonic() + 5
    while _agent_pid(loopback) and time.monotonic() < limit_s:
        time.sleep(0.05)
    agent = AgentClient(board)
    facts = agent.facts()
    agent.close()
    assert (facts.in_use_by, facts.left_by) == (None, None)


def test_models_that_do_not_fit_into_the_cache_are_refused(board: DeviceProfile) -> None:
    agent = AgentClient(board, holds=True, cache_mb=0)
    with pytest.raises(DeviceError, match=r"no space for 0\.\d MB in .* 0 MB allowed.; free some space"):
        agent.call("facts", 10, [os.urandom(300_000)])
    agent.close()


def test_a_full_disk_is_one_line(
    loopback: Loopback, make_profile: Callable[..., DeviceProfile], tmp_path: Path
) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can make a small disk here")
    try:
        loopback.add("full", {"HWTICKETS_AGENT_CACHE": str(tmp_path)})
        agent = AgentClient(make_profile("full"), holds=True)
        with pytest.raises(DeviceError, match=r"device full: no space for .* MB free.*free some space"):
            agent.call("facts", 10, [os.urandom(300_000)])
        agent.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_request_that_takes_too_long_is_given_up_and_the_next_one_is_met(board: DeviceProfile) -> None:
    agent = AgentClient(board)
    agent.facts()
    with pytest.raises(DeviceError, match="'facts' on board took longer than 0 s"):
        agent.call("facts", 0)
    assert agent.facts().cores > 0
    agent.close()

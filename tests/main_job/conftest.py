"""A tiny search in processes of its own, and what the tests of the main job do with it."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hwtickets.cli.main import run as command
from hwtickets.files import sha256_of

_PROGRAM = [sys.executable, "-c", "from hwtickets.cli.main import main; main()"]
#: 126 training steps of the dense network, 63 of the search, 63 of finetuning: each stage saves at step 50.
_SETTINGS = {
    "resolution": 12,
    "batch_size": 20,
    "epochs": 14,
    "shrinks": 3,
    "finetune_share": 0.5,
    "threads": 1,
    "supernet": {
        "sizes": {
            "stem_channels": 16,
            "stages": [[16, 1, 1], [16, 1, 2]],
            "expand_ratio": 3,
            "kernel_sizes": [3, 5],
        }
    },
}


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file without a budget."""
    sample = Path(__file__).parents[1] / "data" / "fashion-mnist"
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(yaml.safe_dump({**_SETTINGS, "data": f"fashion-mnist:{sample}"}))
    return path


class Searches:
    """Runs searches as a user does.

    Args:
        settings: Configuration file without a budget.
    """

    def __init__(self, settings: Path) -> None:
        self._settings = settings

    def start(self, *arguments: str | Path, largest_file: int | None = None) -> subprocess.Popen[str]:
        """Begins a command line in a process; `largest_file`, in bytes, stands for a full disk."""

        def prepare() -> None:
            # A shell's background jobs ignore Ctrl-C, and would hand that down to the tests' processes.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if largest_file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        return subprocess.Popen(
            [*_PROGRAM, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=prepare,
        )

    def run(self, folder: Path, *more: str, largest_file: int | None = None) -> tuple[int, str]:
        """Searches to the end: exit code and output."""
        process = self._begin(folder, *more, largest_file=largest_file)
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def stopped(self, folder: Path, when: Callable[[], bool], how: int, *more: str) -> tuple[int, str]:
        """Begins or resumes a search and sends the signal `how` as soon as `when` is true."""
        process = self._begin(folder, *more)
        deadline = time.monotonic() + 120
        while not when():
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(how)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def _begin(self, folder: Path, *more: str, largest_file: int | None = None) -> subprocess.Popen[str]:
        known = ("search", "--config", self._settings, "--output-dir", folder)
        return self.start(*known, *more, largest_file=largest_file)


@pytest.fixture(scope="session")
def searches(settings: Path) -> Searches:
    return Searches(settings)


@pytest.fixture(scope="session")
def finished(searches: Searches, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run; tests must not change it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    code, output = searches.run(folder, "--macs", "60%")
    assert code == 0, output
    assert f"report: {folder / 'report' / 'report.html'}" in output
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def profiled(finished: Path, tmp_path: Path) -> Path:
    """A run that was stopped after its profile, with the prices of the undisturbed run."""
    folder = tmp_path / "again" / "run"
    shutil.copytree(finished / "state" / "table", folder / "state" / "table")
    for name in ("config.yaml", "state/profile.json"):
        shutil.copy(finished / name, folder / name)
    return folder


@pytest.fixture
def results() -> Callable[[Path], dict[str, str]]:
    """Hashes of what a run hands over."""
    return _results


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The JSON that a command line prints."""

    def ask(*arguments: object, code: int = 0) -> Any:
        assert command([*map(str, arguments), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return ask


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line that must fail with a code and one line, and gives the line."""

    def fail(code: int, *arguments: object) -> str:
        assert command([str(argument) for argument in arguments]) == code
        shown = capsys.readouterr()
        assert shown.out == ""
        errors = [line for line in shown.err.splitlines() if not line.startswith("[")]
        assert len(errors) == 1 and errors[0].startswith("error: "), shown.err
        return errors[0]

    return fail


def _results(folder: Path) -> dict[str, str]:
    names = (
        "ticket/ticket.json",
        "ticket/weights.safetensors",
        "bundle/model.onnx",
        "state/dense/bundle/model.onnx",
    )
    return {name: sha256_of(folder / name) for name in names}

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from hwtickets.cli.sessions import interruptible, resume_command, this_command
from hwtickets.run_names import run_folder


def test_an_interrupt_is_one_line_that_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, interruptible(resume_command(Path("runs/my run"))):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == (
        "interrupted; go on with: hwtickets search --config 'runs/my run/config.yaml' "
        "--output-dir 'runs/my run' --resume\n"
    )


def test_runs_are_numbered_and_the_latest_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_folder("demo", resume=False) == run_folder("demo", resume=True) == Path("runs/demo")
    Path("runs/demo").mkdir(parents=True)
    assert run_folder("demo", resume=False) == Path("runs/demo-2")
    assert run_folder("demo", resume=True) == Path("runs/demo")
    Path("runs/demo-2").mkdir()
    assert run_folder("demo", resume=False) == Path("runs/demo-3")
    assert run_folder("demo", resume=True) == Path("runs/demo-2")


def test_the_command_can_be_typed_again() -> None:
    assert (
        this_command(["search", "--data", "folder:my images"]) == "hwtickets search --data 'folder:my images'"
    )

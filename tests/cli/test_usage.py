from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.cli.main import run


def _error(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    assert run(list(arguments)) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert len(shown.err.splitlines()) <= 2
    return shown.err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("search --latncy 8ms", "did you mean '--latency'"),
        ("search --batch_sise 8", "did you mean '--batch-size'"),
        ("serch", "Did you mean 'search'"),
        ("devices", "Missing command"),
        ("draw", "Missing argument 'RUN'"),
        ("draw runs/x", "no budget is given"),
        ("draw runs/x --latency 8", "no unit"),
        ("search", "no budget is given"),
        ("search --latency 8", "no unit"),
        ("search --latency 8mB", "unknown unit 'mB'"),
        ("search --latency -3ms", "above 0"),
        ("search --macs 0M", "above 0"),
        ("search --latency 40% --epochs soon", "valid number"),
        ("search --latency 40% --epochs -1", "'epochs' is not right"),
        ("search --latency 40% --price energy", "'latency' or 'macs'"),
        ("search --latency 40% --set depth", "KEY=VALUE"),
        ("search --latency 40% --set stages=[[16,1,1]", "not a number, a word or a list"),
        ("table build --input 28x28", "CxHxW"),
        ("table build --input 0x28x28", "CxHxW"),
        ("verify bundle --images 0", "images"),
    ],
)
def test_bad_usage_is_one_line_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], line: str, reason: str
) -> None:
    assert reason in _error(capsys, *line.split())


@pytest.mark.parametrize("verb", ["search", "table info"])
def test_an_unknown_key_of_a_file_names_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str
) -> None:
    (tmp_path / "a.yaml").write_text("devise: cpu\nlatency: 40%\n" if verb == "search" else "devise: cpu\n")
    text = _error(capsys, *verb.split(), "--config", str(tmp_path / "a.yaml"))
    assert "a.yaml; did you mean 'device'" in text


def test_a_missing_or_damaged_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    assert str(file) in _error(capsys, "search", "--config", str(file), code=1)
    file.write_text("a: [")
    assert "is damaged" in _error(capsys, "search", "--config", str(file), code=1)


def test_a_file_gives_the_defaults_of_a_verb(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("input_shape: 3x3\n")
    assert "'--input 3x3'" in _error(capsys, "table", "build", "--config", str(tmp_path / "a.yaml"))
    assert "'--input 4x4'" in _error(
        capsys, "table", "build", "--config", str(tmp_path / "a.yaml"), "--input", "4x4"
    )


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Usage: hwtickets" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == "hwtickets 0.1.0\n"

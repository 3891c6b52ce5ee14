"""What draw, retrain and transfer refuse before anything is loaded or trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.cli.main import run


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("draw RUN", "no budget is given"),
        ("draw RUN --latency 25%,8", "no unit"),
        (
            "draw RUN --latency 25% --no-finetune --finetune-epochs 1",
            "exclude each other",
        ),
        ("draw RUN --latency 25% --finetune-epochs -1", "epochs of finetuning"),
        ("draw RUN --latency 25%,40% --table T", "a table belongs to one device"),
        ("draw RUN --latency 25% --device cpu,cpuu", "did you mean 'cpu'"),
        ("retrain TICKET --recipe rewnd", "did you mean 'rewind'"),
        ("retrain TICKET --recipe none --epochs 1", "trains nothing"),
        ("retrain TICKET --recipe finetune --teacher T", "has no teacher"),
        ("retrain TICKET --recipe rewind --rewind-to ini", "did you mean 'init'"),
        ("transfer TICKET --task segmentation", "no data is given"),
        ("transfer TICKET --data folder:x --freeze head", "unknown part to freeze"),
        ("transfer TICKET --data folder:x --epochs 0", "epochs of a transfer"),
        (
            "search --latency 40% --pipeline prune-only --sparsity 0.5",
            "leave the budget out",
        ),
        ("search --pipeline prune-only", "say what share they remove"),
        ("search --latency 40% --pipeline two-in-two", "'pipeline' is not right"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    line: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").mkdir()
    (tmp_path / "RUN" / "config.yaml").write_text("device: cpu\n")
    assert run(line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    assert shown.err.startswith("error: ") and reason in shown.err


@pytest.mark.parametrize("verb", ["retrain", "transfer"])
def test_a_missing_ticket_names_its_file(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--data", "fashion-mnist-small"] if verb == "transfer" else []
    assert run([verb, str(tmp_path / "none"), *more]) == 1
    assert str(tmp_path / "none" / "ticket.json") in capsys.readouterr().err

"""A run that was made on this machine, drawn for a board that ssh reaches: measured there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loopback import loopback_boards, missing_reason
from hwtickets.files import read_json


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another machine, which is this one; its tables are its own."""
    reason = missing_reason()
    if reason:
        pytest.skip(reason)
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path / "home"))
    with loopback_boards(tmp_path / "ssh", "loop"):
        yield "loop"


def test_the_ticket_is_measured_on_the_board(copied: Path, board: str, answer: Callable[..., Any]) -> None:
    ticket = answer("draw", copied, "--device", board, "--macs", "60%", "--no-finetune")
    assert ticket["measured"] is True and ticket["table"] == "loop/onnxruntime-fp32"
    assert ticket["latency_ms"]["p50"] > 0 and ticket["verify"]["max_rel_error"] < 1e-4
    folder = Path(ticket["path"])
    assert folder.name == "loop-macs-60pc" and (folder / "devices" / "loop" / "times.json").exists()
    page = Path(answer("report", copied)["report_html"])
    runs = read_json(page.with_name("report.json"), "report")["runs"]
    assert [(run["device"]["name"], run["device"]["measured"]) for run in runs] == [
        ("cpu", True),
        ("loop", True),
    ]
    assert runs[1]["device"]["fingerprint"]["device"] == "loop"

from __future__ import annotations

import io
import time

import pytest

from hwtickets.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_name_the_stage_its_number_and_its_end() -> None:
    stream = io.StringIO()
    progress = Progress(["train", "draw"], stream=stream)
    with progress.stage("train", total=800) as stage:
        stage.advance(800, note="loss 0.41")
    progress.note("draw 1: predicted 0.052 ms")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "[1/2] train",
        "[1/2] train  800/800 step  done after 0:00  loss 0.41",
        "draw 1: predicted 0.052 ms",
    ]


def test_many_steps_in_a_moment_are_not_many_lines() -> None:
    stream = io.StringIO()
    with Progress(["train"], stream=stream).stage("train", total=5000) as stage:
        for _ in range(5000):
            stage.advance()
    assert len(stream.getvalue().splitlines()) <= 3


def test_a_stage_that_was_not_announced_is_numbered_on() -> None:
    stream = io.StringIO()
    progress = Progress(["train"], stream=stream)
    for name in ("verify", "train"):
        with progress.stage(name):
            pass
    assert [line.split("  ")[0] for line in stream.getvalue().splitlines()[::2]] == [
        "[2/2] verify",
        "[1/2] train",
    ]


def test_without_a_list_nothing_is_said_of_how_many_stages_there_are() -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    for name in ("data", "latency table"):
        with progress.stage(name):
            pass
    assert stream.getvalue().splitlines()[::2] == ["[1] data", "[2] latency table"]


def test_a_stage_that_fails_says_stopped() -> None:
    stream = io.StringIO()
    with (
        pytest.raises(KeyboardInterrupt),
        Progress(["train"], stream=stream).stage("train", total=4) as stage,
    ):
        stage.advance()
        raise KeyboardInterrupt
    assert "1/4 step  stopped after" in stream.getvalue()


def test_the_time_left_counts_only_the_steps_of_this_process() -> None:
    with Progress(quiet=True).stage("train", total=100, done=90) as stage:
        assert stage.left_s is None
        time.sleep(0.01)
        stage.advance(5)
        assert stage.left_s == pytest.approx(stage.elapsed_s, rel=0.5)
    with Progress(quiet=True).stage("read") as stage:
        stage.advance()
        assert stage.left_s is None


def test_quiet_prints_nothing() -> None:
    stream = io.StringIO()
    progress = Progress(["train"], quiet=True, stream=stream)
    with progress.stage("train") as stage:
        stage.advance(note="loss")
    progress.note("x")
    assert stream.getvalue() == ""


def test_a_terminal_shows_number_share_and_note_of_every_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    progress = Progress(["train", "draw"], stream=stream)
    with progress.stage("train", total=4) as stage:
        stage.advance(2, note="loss [0.41]")
        progress.note("kept [all]")
    with progress.stage("draw"):
        pass
    shown = stream.getvalue()
    for text in ("[1/2] train", "50%", "loss [0.41]", "kept [all]", "[2/2] draw", "100%"):
        assert text in shown


@pytest.mark.parametrize("terminal", [False, True])
def test_steps_that_turn_out_to_be_needless_are_no_part_of_the_total(terminal: bool) -> None:
    stream = _Terminal() if terminal else io.StringIO()
    with Progress(["measure"], stream=stream).stage("measure", total=10) as stage:
        stage.advance(4)
        stage.spare(6)
        assert stage.left_s == 0
    assert "100%" in stream.getvalue() if terminal else "4/4 step  done after" in stream.getvalue()

"""Seconds of stages over several processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hwtickets.errors import BudgetError
from hwtickets.main_job.clock import StageClock, timed
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder


def _stages(run: RunFolder) -> dict[str, float]:
    return {stage["name"]: stage["seconds"] for stage in run.read_record().get("stages", [])}


@pytest.mark.parametrize("error", [KeyboardInterrupt, BudgetError])
def test_a_stage_that_was_stopped_takes_as_long_as_all_its_processes(
    tmp_path: Path, error: type[BaseException]
) -> None:
    run, progress = RunFolder.create(tmp_path, {}), Progress(quiet=True)
    run.record(unfinished={"search": 100.0, "dense network": 7.0})
    with pytest.raises(error), timed(run, "search", progress):
        time.sleep(0.01)
        raise error("stopped")
    assert 100.0 < run.read_record()["unfinished"]["search"] < 200.0
    assert _stages(run) == {}
    again = RunFolder.open(tmp_path)
    with timed(again, "search", progress):
        pass
    assert 100.0 < _stages(again)["search"] < 200.0
    assert again.read_record()["unfinished"] == {"dense network": 7.0}
    before = _stages(again)
    with timed(again, "search", progress):
        pass
    assert _stages(again) == before, "done once"


def test_a_kill_loses_no_more_than_the_time_since_the_last_note(tmp_path: Path) -> None:
    run, progress = RunFolder.create(tmp_path, {}), Progress(quiet=True)
    run.record(unfinished={"search": 100.0})
    progress.on_advance = StageClock(run, "search", interval_s=0.0).tick
    with progress.stage("search", total=2) as shown:
        time.sleep(0.01)
        shown.advance()
        assert run.read_record()["unfinished"]["search"] > 100.0
        seldom = StageClock(run, "search")
        noted = run.read_record()
        seldom.tick()
        assert run.read_record() == noted, "not at every step"


def test_a_stage_of_one_process_leaves_its_seconds_alone(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {})
    with timed(run, "report", Progress(quiet=True)):
        pass
    assert list(run.read_record()) == ["stages"] and _stages(run)["report"] < 60

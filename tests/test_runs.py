from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.files import FolderLock
from hwtickets.runs import RunFolder

_CONFIG = {"device": "cpu", "weight_decay": 5e-4, "budgets": {"latency": "40%"}, "compare": ["macs"]}


def test_a_run_keeps_its_configuration_and_its_record(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", _CONFIG)
    run.record(seed=3)
    run.record(versions={"torch": "2"})
    run.finish_stage("train", 1.23456)
    run.finish_stage("train", 2.0)
    again = RunFolder.open(tmp_path / "a")
    assert again.config == _CONFIG
    assert again.read_record() == {
        "seed": 3,
        "versions": {"torch": "2"},
        "stages": [{"name": "train", "seconds": 2.0}],
    }
    assert again.stage_done("train")
    assert not again.stage_done("draw")


def test_events_and_candidates_are_kept_in_order(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, _CONFIG)
    assert run.candidates() == []
    run.candidate(predicted_ms=0.1)
    run.candidate(predicted_ms=0.2)
    run.event("epoch", loss=1.0)
    assert [point["predicted_ms"] for point in run.candidates()] == [0.1, 0.2]
    assert '"event": "epoch", "loss": 1.0' in (tmp_path / "events.jsonl").read_text()


def test_the_folders_of_a_run_are_there_when_they_are_asked_for(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, _CONFIG)
    folders = [run.state, run.ticket, run.bundle, run.report_dir]
    assert [str(folder.relative_to(tmp_path)) for folder in folders] == [
        "state",
        "ticket",
        "bundle",
        "report",
    ]
    assert all(folder.is_dir() for folder in folders)


def test_what_computes_may_change_when_a_run_is_gone_on_with(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, {**_CONFIG, "accumulate": 1}).record(seed=3)
    run = RunFolder.create(tmp_path, {**_CONFIG, "accumulate": 4}, resume=True)
    assert run.config["accumulate"] == 4 == RunFolder.open(tmp_path).config["accumulate"]
    assert run.read_record() == {"seed": 3}
    with pytest.raises(UsageError, match=r"other settings \(accumulate, seed\)"):
        RunFolder.create(tmp_path, {**_CONFIG, "accumulate": 2, "seed": 9}, resume=True)


def test_a_run_is_gone_on_with_only_if_asked_and_unchanged(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        RunFolder.create(tmp_path, _CONFIG).record(seed=3)
        with pytest.raises(UsageError, match="--resume"):
            RunFolder.create(tmp_path, _CONFIG)
        with pytest.raises(UsageError, match=r"other settings \(device\)"):
            RunFolder.create(tmp_path, {**_CONFIG, "device": "nano"}, resume=True)
        assert RunFolder.create(tmp_path, _CONFIG, resume=True).read_record() == {"seed": 3}


def test_a_run_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, _CONFIG)
    run = RunFolder.create(tmp_path, {**_CONFIG, "shrink_from": 0.2, "penalty_strength": None}, resume=True)
    assert run.config == _CONFIG
    with pytest.raises(UsageError, match=r"other settings \(shrink_from\)"):
        RunFolder.create(tmp_path, {**_CONFIG, "shrink_from": 0.3}, resume=True)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("x")
    for resume in (False, True):
        with pytest.raises(UsageError, match="not a run folder"):
            RunFolder.create(tmp_path, _CONFIG, resume)
    assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]


def test_no_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run at"):
        RunFolder.open(tmp_path / "a")


@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_a_damaged_run_is_one_line_that_names_the_file(tmp_path: Path, name: str) -> None:
    RunFolder.create(tmp_path, _CONFIG).record(seed=3)
    (tmp_path / name).write_text("{")
    with pytest.raises(HwticketsError, match=f"{name} is damaged") as caught:
        RunFolder.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HwticketsError, match="cannot write"):
        RunFolder.create(tmp_path / "file" / "run", _CONFIG)
    with pytest.raises(HwticketsError, match="cannot write"):
        RunFolder.create(tmp_path / "file", _CONFIG)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from hwtickets.config import SearchConfig
from hwtickets.errors import HwticketsError
from hwtickets.files import read_json
from hwtickets.main_job.pipeline import run_search
from hwtickets.progress import Progress
from hwtickets.recipes import trials
from hwtickets.runs import RunFolder
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks.classification import Classification

Search = Callable[..., dict[str, Any]]
QUICK = {"baseline": False, "recipe": "none", "epochs": 1}


def _trials(folder: Path) -> dict[str, Any]:
    return read_json(folder / "trials.json", "trials")


def test_what_is_drawn_loses_no_more_than_what_was_tried(search: Search, tmp_path: Path) -> None:
    plain = search(tmp_path / "plain", **QUICK)
    report = search(tmp_path / "run", trials=12, **QUICK)
    found = _trials(tmp_path / "run")
    ticket = Ticket.load(tmp_path / "run" / "ticket")
    assert report["budgets"][0]["kept"] and plain["budgets"][0]["kept"]
    assert 1 < found["networks"] <= 14 and found["lowest"] <= found["first"]
    assert found["exponent"] in (1.0, 0.5)
    assert set(found["factors"]) <= set(ticket.architecture.widths)
    same = Ticket.load(tmp_path / "plain" / "ticket").architecture.widths == ticket.architecture.widths
    assert same == (found["lowest"] == found["first"])
    assert not (tmp_path / "plain" / "trials.json").exists()


def test_a_resumed_run_draws_by_the_same_trials(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(folder := tmp_path / "run", trials=6, **QUICK)
    widths, found = Ticket.load(folder / "ticket").architecture.widths, _trials(folder)
    (folder / "delivery.json").unlink()
    run = RunFolder.open(folder)
    run.record(stages=[stage for stage in run.read_record()["stages"] if stage["name"] == "search"])

    def reached(*_: object) -> None:
        raise AssertionError("trials are made again")

    monkeypatch.setattr(trials, "evolve", reached)
    run_search(run, SearchConfig.model_validate(run.config), Progress(quiet=True), "test")
    assert Ticket.load(folder / "ticket").architecture.widths == widths and _trials(folder) == found


def test_a_budget_in_another_metric_than_the_price_is_met(search: Search, tmp_path: Path) -> None:
    report = search(tmp_path / "run", budgets={"params": "70%"}, price="macs", trials=4, **QUICK)
    assert report["budgets"][0]["kept"] and _trials(tmp_path / "run")["networks"] >= 1


def test_outputs_that_are_no_numbers_are_one_line(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(task: Classification, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        # Every network is tried against the same outputs.
        again = taught.data_ptr() in seen
        seen.add(taught.data_ptr())
        return outputs.sum() * (1.0 if again == first else float("nan"))

    seen = set[int]()
    monkeypatch.setattr(Classification, "imitation_loss", broken)
    first = True
    with pytest.raises(HwticketsError, match="outputs are not finite on some batches; look at the weights"):
        search(tmp_path / "first", trials=2, **QUICK)
    first = False
    seen.clear()
    search(tmp_path / "others", trials=2, **QUICK)
    found = _trials(tmp_path / "others")
    assert found["lowest"] == found["first"] and set(found["factors"].values()) == {1.0}


def test_widths_that_nothing_is_worth_are_not_tried(search: Search, tmp_path: Path) -> None:
    search(tmp_path / "run", pipeline="uniform", trials=4, **{**QUICK, "recipe": "scratch"})
    assert not (tmp_path / "run" / "trials.json").exists()

"""What a search hands over, and what the other verbs make of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwtickets.files import read_json, sha256_of
from hwtickets.sparsity.ticket import Ticket, ticket_hash

_BUDGET = ("--macs", "60%")


def test_a_search_ends_with_a_measured_ticket_and_its_report(finished: Path) -> None:
    report = read_json(finished / "report" / "report.json", "report")
    assert [budget["kept"] for budget in report["budgets"]] == [True]
    assert report["budgets"][0]["value"] <= report["budgets"][0]["limit"] < report["dense"]["macs"]
    ticket = report["tickets"][0]
    assert ticket["id"] == ticket_hash(finished / "ticket")
    assert ticket["latency_ms"]["p50"] > 0 and ticket["ratio"]["median"] > 0
    assert 0 <= ticket["accuracy"]["test"] <= 100
    assert ticket["verify"]["max_rel_error"] < 1e-4 and ticket["verify"]["top1_agreement"] == 1.0
    assert sum(unit["kept"] for unit in ticket["units"]) < sum(unit["total"] for unit in ticket["units"])
    assert [point["step"] for point in report["history"]] == [13, 32, 50]
    page = (finished / "report" / "report.html").read_text()
    assert "<html" in page and "plotly" in page.lower()
    assert {"report.md", "report.html", "report.json"} <= {
        file.name for file in (finished / "report").iterdir()
    }
    record = read_json(finished / "run.json", "run")
    assert {"torch", "onnxruntime", "python"} <= set(record["versions"]) and record["device"]
    assert [stage["name"] for stage in record["stages"]][:3] == ["profile", "dense network", "search"]


def test_no_file_of_a_run_is_a_pickle_or_a_leftover(finished: Path) -> None:
    suffixes = {path.suffix for path in finished.rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {
        *(".json", ".jsonl", ".yaml", ".csv", ".md", ".html", ".png", ".py"),
        *(".safetensors", ".onnx", ".npz", ".npy", ".txt"),
        *(".cpp", ".hpp", ".cmake"),
    }


def test_another_ticket_is_drawn_without_training_the_search_again(
    copied: Path, answer: Callable[..., Any]
) -> None:
    trained = sha256_of(copied / "state" / "latency" / "search.safetensors")
    ticket = answer("draw", copied, "--macs", "45%")
    assert ticket["kept"] and ticket["budget_text"] == "45%"
    assert ticket["macs"] <= 0.45 * read_json(copied / "report" / "report.json", "report")["dense"]["macs"]
    folder = Path(ticket["path"])
    assert ticket_hash(folder / "ticket") == ticket["id"] != ticket_hash(copied / "ticket")
    assert sha256_of(copied / "state" / "latency" / "search.safetensors") == trained
    raw = answer("draw", copied, "--macs", "45%", "--no-finetune")
    assert (raw["units"], raw["path"]) == (ticket["units"], ticket["path"]) and raw["id"] != ticket["id"]
    page = answer("report", copied)["report_html"]
    assert "45%" in Path(page).read_text()
    report = read_json(copied / "report" / "report.json", "report")
    assert ticket["macs"] in [entry["macs"] for entry in report["tickets"]], "later draws are in the report"


def test_a_ticket_is_trained_further_and_exported(
    copied: Path, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    result = answer("retrain", copied / "ticket", "--epochs", "1", "--output-dir", tmp_path / "more")
    assert result["ticket"] == ticket_hash(tmp_path / "more") != ticket_hash(copied / "ticket")
    old, new = Ticket.load(copied / "ticket"), Ticket.load(tmp_path / "more")
    assert new.architecture == old.architecture
    assert new.provenance["parent"] == ticket_hash(copied / "ticket")
    assert new.provenance["steps"] == 9, "with the batch size of the search"
    bundle = Path(answer("export", tmp_path / "more", "--output-dir", tmp_path / "bundle")["bundle"])
    checked = answer("verify", bundle)
    assert checked["max_rel_error"] < 1e-4 and checked["images"] > 0
    timed = answer("benchmark", bundle, "--runs", "20", "--dense", copied / "state" / "dense" / "bundle")
    assert timed["latency_ms"]["p10"] <= timed["latency_ms"]["p50"] <= timed["latency_ms"]["p99"]
    assert timed["ratio"]["low"] <= timed["ratio"]["median"] <= timed["ratio"]["high"]
    assert sum(block["ms"] for block in timed["blocks"]) == pytest.approx(timed["latency_ms"]["p50"])


def test_reports_of_several_runs_become_one_page(
    finished: Path, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    other = shutil.copytree(finished, tmp_path / "other")
    page = answer("report", finished, other, "--output-dir", tmp_path / "both")["report_html"]
    assert Path(page).parent == tmp_path / "both" and Path(page).stat().st_size > 10_000


def test_a_profile_answers_before_any_training(settings: Path, answer: Callable[..., Any]) -> None:
    found = answer("profile", "--config", settings, *_BUDGET)
    assert 0 < found["min_ms"] < found["dense_ms"] and found["min_macs"] < found["dense_macs"]
    assert found["budgets"][0]["feasible"] and found["units"] == 4


def test_a_dry_run_writes_nothing(settings: Path, tmp_path: Path, answer: Callable[..., Any]) -> None:
    found = answer("search", "--config", settings, *_BUDGET, "--output-dir", tmp_path / "run", "--dry-run")
    assert found["budgets"][0]["limit"] == pytest.approx(0.6 * found["dense_macs"])
    assert not (tmp_path / "run").exists()

"""The report of a run folder, with what was benchmarked of its bundles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwtickets.cli.main import run
from tests.report.test_build import Page
from tests.report.test_deployed import measured
from tests.report.test_layers import record

EXAMPLE = Path(__file__).parents[1] / "data" / "report-example.json"

__all__ = ["record"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run as the report reads it."""
    run_folder = tmp_path / "run"
    (run_folder / "state").mkdir(parents=True)
    (run_folder / "config.yaml").write_text("device: cpu\nprecision: fp32\nsupernet: {name: mobile}\n")
    (run_folder / "state" / "report.json").write_text(EXAMPLE.read_text())
    return run_folder


def test_the_report_links_to_the_layers_and_leaves_tables(
    folder: Path, record: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured(folder, "orin-int8", record, 87.5)
    assert run(["report", str(folder), "--csv", "--json"]) == 0
    page = Path(json.loads(capsys.readouterr().out)["report_html"])
    links = Page(page.read_text(encoding="utf-8")).addresses
    assert links == ["../benchmarks/orin-int8/layers.html"] and (page.parent / links[0]).exists()
    assert "orin-int8" in (page.parent / "deployed.csv").read_text()
    assert run(["report", str(folder), "--csv"]) == 0
    assert capsys.readouterr().out == f"report: {page}\ntables: {page.parent}/*.csv\n"
    kept = json.loads((page.parent / "report.json").read_text())
    assert kept["deployments"][0]["score"] == 87.5


def test_a_damaged_benchmark_is_one_line_that_names_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = folder / "benchmarks" / "x" / "times.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert run(["report", str(folder)]) == 1
    error = capsys.readouterr().err
    assert str(broken) in error and error.count("\n") == 1

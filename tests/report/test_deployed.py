"""Deployed networks on a run's page, and the tables as CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hwtickets.deploy.numerics import TOLERANCES
from hwtickets.errors import HwticketsError
from hwtickets.report import build_views, merge_reports
from hwtickets.report.deployed import deployed_chart, list_deployed
from hwtickets.report.deployment import deployments_of, with_deployments
from hwtickets.report.schema import read_report
from tests.report.test_build import Page, visible
from tests.report.test_layers import record

__all__ = ["record"]


def measured(run: Path, name: str, record: dict[str, Any], score: float | None, **more: Any) -> None:
    folder = run / "benchmarks" / name
    folder.mkdir(parents=True)
    timed = {**record, **more}
    (folder / "times.json").write_text(json.dumps(timed))
    (folder / "layers.html").write_text("")
    if score is not None:
        same = {key: timed[key] for key in ("ticket", "onnx_sha256", "device", "runtime", "precision")}
        values = {**same, "passed": True, "images": 256, "score_on_samples": score, "score_of_pytorch": 88.0}
        (folder / "verify.json").write_text(json.dumps(values))


@pytest.fixture
def run(record: dict[str, Any], tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    measured(folder, "orin-int8", record, 87.5)
    measured(folder, "cpu-fp32", record, 88.0, device="cpu", runtime="onnxruntime", precision="fp32")
    measured(folder, "cpu-int8", record, None, device="cpu", runtime="onnxruntime")
    return folder


def test_devices_runtimes_and_precisions_share_a_page(
    run: Path, example: dict[str, Any], tmp_path: Path
) -> None:
    page_folder = tmp_path / "page"
    reports = with_deployments(run, page_folder, [example])
    built = build_views(merge_reports(reports), page_folder)
    text = visible(built.html)
    assert "Deployed: devices, runtimes, precisions" in text
    for shown in ("orin · tensorrt · int8", "cpu · onnxruntime · fp32", "87.50 %", "256 images", "300 MB"):
        assert shown in text and shown in built.markdown.read_text(encoding="utf-8"), shown
    links = Page(built.html.read_text(encoding="utf-8")).addresses
    assert links == [
        f"../run/benchmarks/{name}/layers.html" for name in ("cpu-fp32", "cpu-int8", "orin-int8")
    ]
    assert all((page_folder / link).exists() for link in links)


def test_colours_tell_devices_and_forms_precisions(
    run: Path, example: dict[str, Any], tmp_path: Path
) -> None:
    deployed = list_deployed(read_report(with_deployments(run, tmp_path, [example])[0]))
    assert [one.badge for one in deployed] == ["a", "b", "c"]
    assert deployed[0].colour == deployed[1].colour != deployed[2].colour
    assert deployed[1].symbol == deployed[2].symbol != deployed[0].symbol
    chart = deployed_chart(deployed)
    assert chart is not None
    assert [mark["y"] for mark in chart["data"]] == [[88.0], [87.5]], "what was not scored has no place"
    assert deployed_chart(deployed[1:2]) is None


def test_latencies_far_apart_are_drawn_in_powers_of_ten(
    run: Path, record: dict[str, Any], example: dict[str, Any], tmp_path: Path
) -> None:
    slow = {**record["latency_ms"], "p10": 399.0, "p50": 400.0, "p90": 401.0}
    measured(run, "nano", record, 87.5, device="nano", latency_ms=slow)
    chart = deployed_chart(list_deployed(read_report(with_deployments(run, tmp_path, [example])[0])))
    assert chart is not None and chart["layout"]["xaxis"]["type"] == "log"


def test_every_precision_has_a_form_of_its_own(
    record: dict[str, Any], example: dict[str, Any], tmp_path: Path
) -> None:
    for precision in TOLERANCES:
        measured(tmp_path / "run", precision, record, 88.0, precision=precision)
    page_folder = tmp_path / "page"
    report = with_deployments(tmp_path / "run", page_folder, [example])[0]
    symbols = {one.found.precision: one.symbol for one in list_deployed(read_report(report))}
    assert len(set(symbols.values())) == len(symbols) == 5
    page = build_views(report, page_folder).html.read_text(encoding="utf-8")
    assert all(f".badge.{symbol} " in page for symbol in symbols.values()), "the legend has each form too"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"onnx_sha256": "cd" * 32}, "of another network"),
        ({"ticket": "f" * 16}, "of another network"),
        ({"precision": "fp32"}, "of another network"),
        ({"device": "nano"}, "of another network"),
        ({"passed": False}, "verification failed"),
    ],
)
def test_the_score_of_another_network_or_of_a_wrong_one_is_not_shown(
    record: dict[str, Any], example: dict[str, Any], tmp_path: Path, other: dict[str, Any], reason: str
) -> None:
    measured(tmp_path / "run", "orin-int8", record, 87.5)
    path = tmp_path / "run" / "benchmarks" / "orin-int8" / "verify.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **other}))
    page_folder = tmp_path / "page"
    report = with_deployments(tmp_path / "run", page_folder, [example])[0]
    [found] = report["deployments"]
    assert (found["score"], found["images"], found["latency_ms"]["p50"]) == (None, None, 4.0)
    built = build_views(report, page_folder, csv=True)
    assert reason in visible(built.html) and "87.50 %" not in visible(built.html)
    assert reason in _rows(page_folder / "deployed.csv")[0]["unscored"]


def test_what_was_not_available_is_no_figure(run: Path, tmp_path: Path) -> None:
    found = deployments_of(run, tmp_path)
    assert [one["energy_mj"] for one in found] == [None, None, None]
    assert [one["score"] for one in found] == [88.0, None, 87.5]


@pytest.mark.parametrize("damage", ["{}", "[]", '{"latency_ms": 3}'])
def test_a_file_that_is_no_benchmark_is_one_line(run: Path, tmp_path: Path, damage: str) -> None:
    (run / "benchmarks" / "cpu-int8" / "times.json").write_text(damage)
    with pytest.raises(
        HwticketsError, match=r"cpu-int8/times\.json is not a benchmark.*measure again"
    ) as failure:
        deployments_of(run, tmp_path)
    assert "\n" not in str(failure.value)


def test_every_table_becomes_a_csv_file(run: Path, example: dict[str, Any], tmp_path: Path) -> None:
    build_views(with_deployments(run, tmp_path, [example])[0], tmp_path / "page", csv=True)
    names = ["blocks", "budgets", "deployed", "draws", "networks", "units"]
    assert sorted(path.stem for path in (tmp_path / "page").glob("*.csv")) == names
    networks = _rows(tmp_path / "page" / "networks.csv")
    assert [row["network"] for row in networks] == ["dense", *(t["label"] for t in example["tickets"])]
    assert float(networks[1]["p50_ms"]) == example["tickets"][0]["latency_ms"]["p50"]
    assert networks[0]["predicted_ms"] == "", "what is not known is empty, not 0"
    deployed = _rows(tmp_path / "page" / "deployed.csv")
    assert [row["score"] for row in deployed] == ["88.0", "", "87.5"]
    assert deployed[2]["of_dense"] == "0.5"


def test_figures_beside_the_test_score_are_shown(example: dict[str, Any], tmp_path: Path) -> None:
    ticket = example["tickets"][0]
    figures = {"mIoU": ticket["accuracy"]["test"], "mAcc": 71.234, "aAcc": 90.5}
    ticket["accuracy"]["test_figures"] = figures
    built = build_views(example, tmp_path, csv=True)
    for text in (visible(built.html), built.markdown.read_text(encoding="utf-8")):
        assert "points, mAcc 71.23, aAcc 90.50" in text and "mIoU" not in text, "it is the score itself"
    rows = _rows(tmp_path / "figures.csv")
    assert {row["figure"]: float(row["test"]) for row in rows} == figures
    assert {row["network"] for row in rows} == {ticket["label"]}


def test_tables_of_several_runs_have_the_same_columns(
    example: dict[str, Any], unmeasured: dict[str, Any], tmp_path: Path
) -> None:
    second = json.loads(json.dumps(unmeasured)) | {"title": "Test sample: board"}
    build_views(merge_reports([example, second]), tmp_path, csv=True)
    rows = _rows(tmp_path / "networks.csv")
    assert {row["run"] for row in rows} == {example["title"], "Test sample: board"}


def test_a_page_over_several_places_says_where_each_network_ran(
    example: dict[str, Any], tmp_path: Path
) -> None:
    second = json.loads(json.dumps(example)) | {"title": "Test sample: board"}
    second["device"] |= {"name": "orin", "runtime": "tensorrt", "precision": "fp16"}
    assert "cpu · onnxruntime · fp32" not in visible(build_views(example, tmp_path / "one").html)
    text = visible(build_views(merge_reports([example, second]), tmp_path / "both").html)
    assert "orin · tensorrt · fp16" in text and "cpu · onnxruntime · fp32" in text


def test_agreement_is_named_by_the_task(example: dict[str, Any], tmp_path: Path) -> None:
    check = example["tickets"][0]["verify"]
    del check["top1_agreement"]
    check |= {"pixel_agreement": 0.9998, "miou_agreement": 0.9991, "cosine": 1.0}
    assert "99.98% of pixels, mIoU 0.9991" in visible(build_views(example, tmp_path).html)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

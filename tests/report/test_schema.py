from __future__ import annotations

import json
from typing import Any

import pytest

from hwtickets.errors import HwticketsError
from hwtickets.report.schema import Document, Run, read_report


def test_a_single_report_becomes_a_document_of_one_run(example: dict[str, Any]) -> None:
    document = read_report(example)
    assert document.title == example["title"]
    assert [ticket.id for ticket in document.runs[0].tickets] == [
        ticket["id"] for ticket in example["tickets"]
    ]


def test_the_model_loses_nothing(example: dict[str, Any]) -> None:
    run = Run.model_validate(example)
    assert json.loads(run.model_dump_json(by_alias=True, exclude_unset=True)) == example


def test_measurements_may_carry_more_detail(example: dict[str, Any]) -> None:
    example["dense"]["latency_ms"]["clock"] = "thread CPU time"
    latency = read_report(example).runs[0].dense.latency_ms
    assert latency is not None and latency.model_extra == {"clock": "thread CPU time"}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("tickets", 0, "latency_ms", "p50"), -0.1, "tickets.0.latency_ms.p50"),
        (("tickets", 0, "predicted_ms"), float("nan"), "tickets.0.predicted_ms"),
        (("tickets", 1, "units", 0, "total"), 0, "tickets.1.units.0.total"),
        (("tickets", 0, "verify", "top1_agreement"), 99.5, "tickets.0.verify.top1_agreement"),
        (("dense", "acuracy"), {"test": 1.0}, "dense.acuracy"),
        (("device", "name"), "", "device.name"),
        (("budgets", 0, "metric"), "joules", "budgets.0.metric"),
        (("history", 0, "step"), "first", "history.0.step"),
    ],
)
def test_a_wrong_figure_is_one_line_that_names_it(
    example: dict[str, Any], path: tuple[str | int, ...], value: object, named: str
) -> None:
    place: Any = example
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(HwticketsError) as failure:
        read_report(example, "runs/a/report/report.json")
    text = str(failure.value)
    assert text.startswith("runs/a/report/report.json is not valid") and named in text and "\n" not in text


@pytest.mark.parametrize("schema", [None, 0, 2, "1"])
def test_another_schema_is_refused(example: dict[str, Any], schema: object) -> None:
    example["schema"] = schema
    with pytest.raises(HwticketsError, match="has schema"):
        read_report(example)


def test_a_merged_report_needs_a_run() -> None:
    with pytest.raises(HwticketsError, match="runs"):
        read_report({"schema": 1, "title": "none", "runs": []})


def test_the_bare_minimum_is_enough(bare: dict[str, Any]) -> None:
    assert isinstance(read_report(bare), Document)

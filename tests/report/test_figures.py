from __future__ import annotations

import copy
from typing import Any

import plotly.graph_objects as go
import pytest

from hwtickets.report import figures
from hwtickets.report.chart_parts import Figure
from hwtickets.report.networks import budget_limits, list_networks, spaced_labels
from hwtickets.report.schema import read_report


def every_figure(report: dict[str, Any]) -> list[Figure | None]:
    document = read_report(report)
    networks, run = list_networks(document), document.runs[0]
    return [
        figures.latency_accuracy(networks, "test"),
        figures.predicted_measured(networks),
        figures.block_times(networks),
        figures.search_course(run),
    ]


def test_plotly_knows_every_property(example: dict[str, Any]) -> None:
    drawn = [go.Figure(figure) for figure in every_figure(example)]
    assert [len(figure.data) for figure in drawn] == [4, 4, 4, 4]


def test_nothing_is_drawn_without_figures(bare: dict[str, Any]) -> None:
    assert every_figure(bare) == [None] * 4


def test_a_network_without_accuracy_is_left_out_not_drawn_at_zero(example: dict[str, Any]) -> None:
    scatter = every_figure(example)[0]
    assert scatter is not None
    assert [trace["y"] for trace in scatter["data"]] == [[88.70], [88.50], [87.95], [87.60]]


def test_predicted_networks_are_hollow(unmeasured: dict[str, Any]) -> None:
    scatter, comparison, blocks, _ = every_figure(unmeasured)
    assert scatter is not None
    assert {trace["marker"]["color"] for trace in scatter["data"]} == {"#ffffff"}
    assert all("predicted" in trace["hovertemplate"] for trace in scatter["data"])
    assert comparison is None and blocks is None


def test_error_bars_reach_the_percentiles(example: dict[str, Any]) -> None:
    scatter = every_figure(example)[0]
    assert scatter is not None
    dense = scatter["data"][0]
    assert dense["x"][0] - dense["error_x"]["arrayminus"][0] == 0.1262
    assert abs(dense["x"][0] + dense["error_x"]["array"][0] - 0.1347) < 1e-12


def test_panels_without_values_are_not_drawn(example: dict[str, Any]) -> None:
    for point in example["history"]:
        point |= {"strength": None, "validation": None}
    course = every_figure(example)[3]
    assert course is not None
    assert [note["text"] for note in course["layout"]["annotations"]] == [
        "Expected latency (% of dense)",
        "Training loss",
    ]


def test_names_are_text_not_markup(example: dict[str, Any]) -> None:
    example["tickets"][0]["label"] = "<a href='x'>a & b</a>"
    scatter = every_figure(example)[0]
    assert scatter is not None
    assert "&lt;a href='x'&gt;a &amp; b&lt;/a&gt;" in scatter["data"][1]["hovertemplate"]


def test_limits_include_tickets_drawn_later_and_close_labels_give_way(example: dict[str, Any]) -> None:
    later = copy.deepcopy(example["tickets"][1]) | {"id": "ticket-38", "budget_text": "38%"}
    later["draws"][0]["limit_ms"] = 0.049
    example["tickets"].append(later)
    limits = budget_limits(list_networks(read_report(example)))
    assert [text for _, text in limits] == ["20%", "38%", "40%"]
    assert [limit_ms for limit_ms, _ in limits] == pytest.approx([0.0258, 0.049, 0.0516], rel=1e-3)
    assert [text for _, text in spaced_labels(limits, 0.14)] == ["20%", "38%"]


def test_a_ticket_of_a_slower_moment_stands_where_its_ratio_puts_it(example: dict[str, Any]) -> None:
    slower = next(ticket for ticket in example["tickets"] if ticket["role"] == "comparison")
    slower |= {"ratio": {"median": 0.39, "low": 0.38, "high": 0.4}, "budget_text": "40%"}
    slower["latency_ms"] |= {"p10": 0.09, "p50": 0.1, "p90": 0.11}
    networks = list_networks(read_report(example))
    shown = figures.latency_accuracy(networks, "test")
    assert shown is not None
    mark = next(mark for mark in shown["data"] if slower["label"] in mark["hovertemplate"])
    dense_ms = example["dense"]["latency_ms"]["p50"]
    assert mark["x"][0] == pytest.approx(0.39 * dense_ms) and mark["x"][0] < 0.4 * dense_ms
    assert mark["error_x"]["array"][0] == pytest.approx(0.01 * 0.39 * dense_ms / 0.1)
    assert "0.1 ms measured" in mark["hovertemplate"] and "pace of the dense network" in mark["hovertemplate"]


def test_a_budget_in_ms_is_compared_with_what_was_measured(example: dict[str, Any]) -> None:
    example["tickets"][0] |= {"budget_text": "8 ms"}
    example["tickets"][0]["latency_ms"]["p50"] = 0.2
    assert list_networks(read_report(example))[1].charted_ms == 0.2

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.report.networks import list_networks
from hwtickets.report.schema import read_report
from hwtickets.report.wording import duration, spaced, table_figure, table_label, verdict, when


def sentence(report: dict[str, Any]) -> str:
    document = read_report(report)
    return verdict(document.runs[0], list_networks(document))


def test_the_verdict_states_latency_quality_and_budget(example: dict[str, Any]) -> None:
    assert sentence(example) == (
        "dense: 1.00× (0.129 ms measured), 88.7 % → ticket 40 %: 0.39× (0.0508 ms measured), 88.5 %;"
        " latency budget 40 % kept."
    )


def test_a_missed_budget_is_said(example: dict[str, Any]) -> None:
    example["budgets"][0]["kept"] = False
    assert sentence(example).endswith("latency budget 40 % missed.")


def test_a_prediction_is_not_called_measured(unmeasured: dict[str, Any]) -> None:
    text = sentence(unmeasured)
    assert "0.0514 ± 0.0018 ms predicted, 88.5 %" in text
    assert "latency budget 40 % not measured" in text
    assert text.endswith("latencies predicted from table cpu/onnxruntime-fp32, not measured.")


def test_a_predicted_run_shows_the_expected_error_and_no_verdict_of_the_device(
    predicted: dict[str, Any],
) -> None:
    assert sentence(predicted) == (
        "dense: 1.00× (0.129 ± 0.012 ms predicted), 88.7 % →"
        " ticket 40 %: 0.40× (0.0514 ± 0.012 ms predicted), 88.5 %; latency budget 40 % predicted to be kept;"
        " latencies predicted from table cpu/onnxruntime-fp32, not measured."
    )
    predicted["budgets"][0]["kept"] = False
    assert "latency budget 40 % missed even by the prediction" in sentence(predicted)


def test_without_test_accuracy_the_validation_is_named(example: dict[str, Any]) -> None:
    example["tickets"][0]["accuracy"]["test"] = None
    assert "89.1 % on validation" in sentence(example)


def test_without_any_figure_nothing_is_zero(bare: dict[str, Any]) -> None:
    assert sentence(bare) == "dense: latency not measured, accuracy not measured; no ticket was drawn."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.949, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e6))
def test_durations_never_show_sixty(seconds: float) -> None:
    assert re.search(r"\b60 (s|min)", duration(seconds)) is None


@pytest.mark.parametrize(
    ("text", "shown"), [("40%", "40 %"), ("8ms", "8 ms"), ("0.5 ms", "0.5 ms"), ("2MB", "2 MB")]
)
def test_budgets_are_set_off_from_their_unit(text: str, shown: str) -> None:
    assert spaced(text) == shown


def test_times_and_table_figures() -> None:
    assert when("2025-01-01T12:00:59+00:00") == "2025-01-01 12:00 UTC"
    assert when("yesterday") == "yesterday"
    assert (table_label("within_10"), table_figure("within_10", 0.97)) == ("within 10 %", "97.0 %")
    assert table_figure("kendall_tau", 0.931) == "0.931"
    assert table_figure("offset_error_ms", 0.5) == "0.5"
    assert table_figure("median_error", None) == "not measured"

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.budgets import METRICS, Budget, format_amount, parse_budget
from hwtickets.errors import UsageError


@pytest.mark.parametrize(
    ("metric", "text", "amount"),
    [
        ("latency", "8ms", 8.0),
        ("latency", "0.5 ms", 0.5),
        ("latency", "900us", 0.9),
        ("latency", "900µs", 0.9),
        ("latency", "1s", 1000.0),
        ("latency", " 1e1ms ", 10.0),
        ("macs", "300M", 300e6),
        ("macs", "300M MACs", 300e6),
        ("macs", "1.5G MACs", 1.5e9),
        ("macs", "1000 MACs", 1000.0),
        ("size", "2MB", 2e6),
        ("size", "500kB", 5e5),
        ("size", "1MiB", 2.0**20),
        ("params", "1.5M", 1.5e6),
        ("energy", "50mJ", 50.0),
        ("energy", "800 uJ", 0.8),
        ("energy", "800µJ", 0.8),
        ("energy", "1.2J", 1200.0),
    ],
)
def test_an_amount_is_read_in_its_unit(metric: str, text: str, amount: float) -> None:
    budget = parse_budget(metric, text)
    assert math.isclose(budget.amount, amount)
    assert not budget.relative
    assert budget.text == text.strip()


def test_a_share_is_of_the_dense_network() -> None:
    assert parse_budget("latency", "40%") == Budget("latency", 0.4, True, "40%")
    assert parse_budget("latency", "40 %").limit(dense=2.0) == pytest.approx(0.8)
    assert parse_budget("latency", "8ms").limit(dense=2.0) == 8.0
    assert parse_budget("size", "100%").limit(dense=5.0) == 5.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8", "no unit"),
        ("0ms", "above 0"),
        ("0", "above 0"),
        ("-3ms", "above 0"),
        ("nan ms", "above 0"),
        ("inf ms", "above 0"),
        ("1e999ms", "above 0"),
        ("101%", "more than the dense network"),
        ("1e-323us", "outside the range"),
        ("8 MB", "unknown unit 'MB'"),
        ("8 m", "unknown unit 'm'"),
        ("fast", "not a number"),
        ("", "not a number"),
    ],
)
def test_what_is_not_a_budget_is_one_line_that_says_why(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_budget("latency", text)
    assert "\n" not in str(caught.value)
    assert "ms" in str(caught.value)


def test_millijoules_are_not_megajoules() -> None:
    with pytest.raises(UsageError, match=r"unknown unit 'MJ'. Known: nJ, uJ, mJ, J, %"):
        parse_budget("energy", "50MJ")


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'latency'"):
        parse_budget("latncy", "8ms")


@given(st.sampled_from(METRICS), st.text(max_size=12))
def test_any_text_is_a_budget_above_0_or_a_usage_error(metric: str, text: str) -> None:
    try:
        budget = parse_budget(metric, text)
    except UsageError:
        return
    assert 0 < budget.amount < math.inf
    assert not budget.relative or budget.amount <= 1


@given(st.sampled_from(METRICS), st.floats(min_value=0.01, max_value=1e14))
def test_a_printed_amount_can_be_read_back_within_its_digits(metric: str, value: float) -> None:
    text = format_amount(metric, value).replace(" parameters", " params")
    assert parse_budget(metric, text).amount == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("latency", 0.41, "0.41 ms"),
        ("latency", 0.0, "0 ms"),
        ("macs", 8.5e6, "8.5 M MACs"),
        ("macs", 12, "12 MACs"),
        ("size", 120e3, "120 kB"),
        ("size", 999_999, "1 MB"),
        ("params", 1.23456e6, "1.23 M parameters"),
        ("energy", 12.345, "12.3 mJ"),
        ("energy", 1200.0, "1200 mJ"),
    ],
)
def test_an_amount_is_printed_in_the_unit_that_reads_best(metric: str, value: float, text: str) -> None:
    assert format_amount(metric, value) == text

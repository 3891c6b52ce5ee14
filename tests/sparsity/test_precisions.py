from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.errors import BudgetError
from hwtickets.sparsity.precisions import Border, PrecisionColumns, choose_precisions, fastest_choice

PARTS = ["stem", "blocks.0", "blocks.1", "head"]
PRECISIONS = ["fp32", "int8"]


def _chain(change_ms: float, loss: list[float], parts: list[str] | None = None) -> PrecisionColumns:
    """A chain of parts that take 1 ms in fp32 and 0.5 ms in int8."""
    parts = parts or PARTS
    borders = [Border(producer, (consumer,), change_ms) for producer, consumer in itertools.pairwise(parts)]
    latency = np.tile([1.0, 0.5], (len(parts), 1))
    return PrecisionColumns(parts, PRECISIONS, latency, np.stack([np.zeros(len(parts)), loss], 1), borders)


def test_the_most_sensitive_part_stays_exact() -> None:
    choice = choose_precisions(_chain(0.0, [0.3, 5.0, 0.2, 0.1]), 2.5)
    assert choice.precisions == {"stem": "int8", "blocks.0": "fp32", "blocks.1": "int8", "head": "int8"}
    assert (choice.latency_ms, choice.loss) == (pytest.approx(2.5), pytest.approx(0.6))
    assert choose_precisions(_chain(0.0, [1.0] * 4), 4.0).loss == 0, "the budget allows fp32"


def test_conversions_are_part_of_the_latency() -> None:
    """Free conversions: two parts apart; priced ones: neighbours, although they lose more."""
    loss = [0.1, 0.5, 0.1, 5.0]
    assert choose_precisions(_chain(0.0, loss), 3.0).precisions["blocks.1"] == "int8"
    dear = choose_precisions(_chain(0.2, loss), 3.2)
    assert [part for part, precision in dear.precisions.items() if precision == "int8"] == [
        "stem",
        "blocks.0",
    ]
    assert dear.latency_ms == pytest.approx(3.0 + 0.2)


def test_one_conversion_serves_all_that_read_it() -> None:
    columns = _chain(0.0, [1.0] * 4)
    fork = Border("stem", ("blocks.0", "blocks.1", "head"), 0.25)
    columns = PrecisionColumns(PARTS, PRECISIONS, columns.latency_ms, columns.loss, [fork])
    mixed = {"stem": "fp32", "blocks.0": "int8", "blocks.1": "int8", "head": "fp32"}
    assert columns.latency_of(mixed) == pytest.approx(3.25)
    assert columns.latency_of(dict.fromkeys(PARTS, "int8")) == pytest.approx(2.0)


def test_a_budget_below_every_mix_names_the_fastest() -> None:
    with pytest.raises(BudgetError, match=r"0\.001 ms is below every mix of fp32 and int8.*is 2 ms"):
        choose_precisions(_chain(0.1, [1.0] * 4), 0.001)
    assert fastest_choice(_chain(0.1, [1.0] * 4)).precisions == dict.fromkeys(PARTS, "int8")


def test_of_equal_losses_the_faster_one_is_chosen() -> None:
    columns = _chain(0.1, [0.0, 1.0, 0.0, 0.0])
    assert choose_precisions(columns, 10.0).precisions["head"] == "int8"
    assert choose_precisions(_chain(0.6, [0.0, 1.0, 1.0, 1.0]), 10.0).precisions["stem"] == "fp32"


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_nothing_within_the_budget_loses_less(data: st.DataObject) -> None:
    """Against all choices of a random network, three precisions, borders anywhere."""
    number = st.floats(0, 1, width=16)
    count = data.draw(st.integers(1, 4))
    parts, precisions = PARTS[:count], ["fp32", "fp16", "int8"]
    table = st.lists(st.lists(number, min_size=3, max_size=3), min_size=count, max_size=count)
    ends = st.sampled_from(parts)
    borders = st.builds(
        Border,
        ends,
        st.lists(ends, min_size=1, max_size=3, unique=True).map(tuple),
        st.floats(0, 0.5, width=16),
    )
    columns = PrecisionColumns(
        parts,
        precisions,
        np.array(data.draw(table)),
        np.array(data.draw(table)),
        data.draw(st.lists(borders, max_size=4)),
    )
    every = [dict(zip(parts, chosen, strict=True)) for chosen in itertools.product(precisions, repeat=count)]
    limit_ms = data.draw(st.sampled_from([columns.latency_of(chosen) for chosen in every])) + 1e-6
    choice = choose_precisions(columns, limit_ms)
    losses = [
        sum(
            columns.loss[parts.index(part), precisions.index(precision)] for part, precision in chosen.items()
        )
        for chosen in every
        if columns.latency_of(chosen) <= limit_ms
    ]
    assert choice.latency_ms <= limit_ms + 1e-5
    assert choice.loss == pytest.approx(min(losses), abs=1e-5)
    fastest = min(columns.latency_of(chosen) for chosen in every)
    assert fastest_choice(columns).latency_ms == pytest.approx(fastest, abs=1e-6)

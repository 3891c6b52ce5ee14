from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.errors import BudgetError
from hwtickets.sparsity.allocation import Allocation, allocate
from hwtickets.sparsity.choices import BlockChoices, PricedSpace
from hwtickets.sparsity.mixed_space import DROP, MixedPart, MixedSpace, allocate_mixed
from hwtickets.sparsity.precisions import Border

PRECISIONS = ["fp32", "int8"]
#: The last part has nothing to cut.
NAMES = ["blocks.0", "blocks.1", "head"]
SCORES = {"blocks.0.k3": torch.tensor([5.0, 3.0, 1.0]), "blocks.1.k3": torch.tensor([4.0, 2.0])}


def _part(name: str, latency_ms: list[list[float]], drop: float) -> MixedPart:
    """A part from its latencies, shape (widths, precisions); int8 costs `drop`."""
    widths = range(len(latency_ms))
    rows = [(width, place) for place in range(len(PRECISIONS)) for width in widths]
    costs = {
        "latency": np.array([latency_ms[width][place] for width, place in rows]),
        "macs": np.array([100.0 * width for width, _ in rows]),
        DROP: np.array([drop * place for _, place in rows]),
    }
    units = [] if name == "head" else [f"{name}.k3"]
    counts = np.array([[width][: len(units)] for width, _ in rows], dtype=np.int64)
    choices = BlockChoices(name, units, counts, ["split"] * len(rows), costs)
    return MixedPart(choices, [PRECISIONS[place] for _, place in rows])


def _space(
    latency_ms: list[list[list[float]]], drops: list[float], change_ms: float, max_drop: float = 10.0
) -> MixedSpace:
    parts = [_part(*given) for given in zip(NAMES, latency_ms, drops, strict=False)]
    names = [part.name for part in parts]
    borders = [Border(one, (other,), change_ms) for one, other in itertools.pairwise(names)]
    return MixedSpace(parts, {"latency": 0.1, "macs": 0.0, DROP: 0.0}, borders, max_drop)


#: Twice as fast in int8.
HALVED = [
    [[0.0, 0.0], [1.0, 0.5], [2.0, 1.0], [3.0, 1.5]],
    [[0.0, 0.0], [1.0, 0.5], [2.0, 1.0]],
    [[1.0, 0.5]],
]


def test_a_wide_part_in_8_bits_instead_of_a_narrow_one_in_32() -> None:
    drawn = allocate_mixed(_space(HALVED, [0.1] * 3, 0.0), SCORES, {"latency": 3.11})
    assert drawn.widths == {"blocks.0.k3": 3, "blocks.1.k3": 2}
    assert set(drawn.precisions.values()) == {"int8"} and drawn.value == pytest.approx(1.0)
    assert drawn.costs["latency"] == pytest.approx(3.1) and drawn.costs[DROP] == pytest.approx(0.3)
    assert drawn.forms == {"blocks.0": "split", "blocks.1": "split"}, "only of what can be cut"


def test_what_loses_too_much_stays_exact_and_pays_with_its_width() -> None:
    drawn = allocate_mixed(_space(HALVED, [5.0, 0.1, 0.1], 0.0, 0.5), SCORES, {"latency": 3.2})
    assert drawn.precisions == {"blocks.0": "fp32", "blocks.1": "int8", "head": "int8"}
    assert drawn.widths == {"blocks.0.k3": 2, "blocks.1.k3": 1}
    assert drawn.costs[DROP] == pytest.approx(0.2)


def test_a_point_of_the_score_weighs_a_hundredth_of_all_importance() -> None:
    """The last channel is worth 1/15 of all: 6.7 points."""
    wide, narrow = (
        allocate_mixed(_space(HALVED, [drop, 0.0, 0.0], 0.0), SCORES, {"latency": 3.7}) for drop in (6, 7)
    )
    assert (wide.widths["blocks.0.k3"], wide.precisions["blocks.0"]) == (3, "int8")
    assert (narrow.widths["blocks.0.k3"], narrow.precisions["blocks.0"]) == (2, "fp32")


def test_conversions_are_paid_where_precisions_meet() -> None:
    alternating = [[[1.0, 0.5]], [[0.5, 1.0]], [[1.0, 0.5]]]
    free = allocate_mixed(_space(alternating, [0.0] * 3, 0.0), {}, {"latency": 1.61})
    assert list(free.precisions.values()) == ["int8", "fp32", "int8"]
    dear = _space(alternating, [0.0] * 3, 0.3)
    assert dear.smallest("latency") == pytest.approx(2.1)
    with pytest.raises(BudgetError, match=r"1\.61 ms is below .* the nearest feasible one is 2\.1 ms"):
        allocate_mixed(dear, {}, {"latency": 1.61})
    assert list(allocate_mixed(dear, {}, {"latency": 2.11}).precisions.values()) == ["int8"] * 3


def test_a_correction_counts_for_conversions_too() -> None:
    space = _space(HALVED, [0.0, 9.0, 0.0], 0.2, max_drop=1.0)
    assert space.repriced(2.0).smallest("latency") == pytest.approx(2 * space.smallest("latency"))
    drawn = allocate_mixed(space.repriced(2.0), SCORES, {"latency": 6.0})
    assert drawn.costs["latency"] <= 6.0 + 1e-5
    assert drawn.costs["macs"] == sum(drawn.widths.values()) * 100


def test_in_one_precision_it_is_the_exact_draw() -> None:
    space = _space(HALVED, [100.0] * 3, 0.3, max_drop=0.0)
    rows = [np.arange(len(part.precisions) // 2) for part in space.parts]
    blocks = [
        BlockChoices(
            part.name,
            part.choices.units,
            part.choices.widths[own],
            ["split"] * len(own),
            {metric: costs[own] for metric, costs in part.choices.costs.items()},
        )
        for part, own in zip(space.parts, rows, strict=True)
    ]
    limits = {"latency": 3.2, "macs": 400.0}
    exact = allocate(PricedSpace(blocks, space.fixed), SCORES, limits)
    mixed = allocate_mixed(space, SCORES, limits)
    assert set(mixed.precisions.values()) == {"fp32"}
    assert (mixed.widths, mixed.value) == (exact.widths, pytest.approx(exact.value))


_MS = st.floats(0, 2, width=16)


def _all(space: MixedSpace) -> list[list[int]]:
    return [list(rows) for rows in itertools.product(*(range(len(part.precisions)) for part in space.parts))]


def _worth(space: MixedSpace, rows: list[int]) -> float:
    """Importance that is kept, as a share, less a hundredth of it for each point."""
    total = sum(float(score.sum()) for score in SCORES.values())
    kept = 0.0
    for part, row in zip(space.parts, rows, strict=True):
        for unit, width in zip(part.choices.units, part.choices.widths[row], strict=True):
            kept += float(SCORES[unit].sort(descending=True).values[:width].sum())
    return kept / total - 0.01 * space.costs(rows)[DROP]


def _rows_of(space: MixedSpace, drawn: Allocation) -> list[int]:
    found = []
    for part in space.parts:
        wanted = [drawn.widths[unit] for unit in part.choices.units]
        own = part.rows(drawn.precisions[part.name])
        found.append(next(int(row) for row in own if part.choices.widths[row].tolist() == wanted))
    return found


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_nothing_within_the_budgets_is_worth_more(data: st.DataObject) -> None:
    """Against every network: widths, precisions, conversions anywhere, a limit of the drop."""
    pair = st.lists(_MS, min_size=2, max_size=2)
    latency_ms = [data.draw(st.lists(pair, min_size=n, max_size=n)) for n in (3, 3, 1)]
    drops = data.draw(st.lists(st.floats(0, 5, width=16), min_size=3, max_size=3))
    space = _space(latency_ms, drops, 0.0, data.draw(st.floats(0, 8, width=16)))
    ends = st.sampled_from(NAMES)
    readers = st.lists(ends, min_size=1, max_size=3, unique=True).map(tuple)
    borders = data.draw(st.lists(st.builds(Border, ends, readers, st.floats(0, 1, width=16)), max_size=4))
    space = MixedSpace(space.parts, space.fixed, borders, space.max_drop)
    allowed = [rows for rows in _all(space) if space.costs(rows)[DROP] <= space.max_drop]
    fastest_ms = min(space.costs(rows)["latency"] for rows in allowed)
    assert space.smallest("latency") == pytest.approx(fastest_ms, abs=1e-5)
    limit_ms = data.draw(st.sampled_from([space.costs(rows)["latency"] for rows in allowed])) + 1e-4
    drawn = allocate_mixed(space, SCORES, {"latency": limit_ms})
    rows = _rows_of(space, drawn)
    best = max(_worth(space, rows) for rows in allowed if space.costs(rows)["latency"] <= limit_ms)
    assert drawn.costs["latency"] == pytest.approx(space.costs(rows)["latency"])
    assert drawn.costs["latency"] <= limit_ms + 1e-5 and drawn.costs[DROP] <= space.max_drop + 1e-5
    assert _worth(space, rows) == pytest.approx(best, abs=1e-6)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.sparsity.channels import Channels, Undecided, channels, for_all

_WIDTHS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30)
Given = Mapping[str, int]


def _sum(given: Given) -> int:
    return sum(given.values()) + 3 * given["a"] - given["b"] // 2 + (7 - given["a"]) % 5


def _branches(given: Given) -> int:
    present = [width for width in given.values() if width > 0]
    if not present:
        return -1
    if len(present) == 2 and given["a"] == given["b"]:
        return 2 * given["a"]
    return max(present) if given["a"] <= 20 else min(present)


def _number_itself(given: Given) -> int:
    return math.gcd(given["a"], 12) if given["b"] else len(range(given["a"]))


@pytest.mark.parametrize("compute", [_sum, _branches, _number_itself])
@given(widths=_WIDTHS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_is_computed_for_all_is_what_is_computed_for_each(
    compute: Callable[[Given], int], widths: list[tuple[int, int]]
) -> None:
    found = np.full(len(widths), -99)
    for rows, answer in for_all(compute, ["a", "b"], np.array(widths)):  # type: ignore[arg-type]
        assert (found[rows] == -99).all(), "every network is in one group"
        found[rows] = answer.counts if isinstance(answer, Channels) else answer
    assert found.tolist() == [compute({"a": a, "b": b}) for a, b in widths]


def test_networks_that_agree_are_plain_ints() -> None:
    seen: list[object] = []
    (group,) = for_all(lambda given: seen.append(given["a"]), ["a"], np.full((3, 1), 8))
    assert group[0].tolist() == [0, 1, 2]
    assert seen == [8] and type(seen[0]) is int
    assert type(channels(np.array([4, 4]))) is int


def test_a_question_without_one_answer_is_not_answered() -> None:
    with pytest.raises(Undecided) as caught:
        bool(channels(np.array([0, 1, 2])))
    assert caught.value.yes.tolist() == [False, True, True]

"""Tensors in lists and dicts as one tensor, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.structure import Structure

TYPES = [torch.float32, torch.int64, torch.uint8, torch.bool]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = (3, *draw(st.lists(st.integers(0, 3), max_size=3)))
    dtype = draw(st.sampled_from(TYPES))
    seed = draw(st.integers(0, 9))
    numbers = torch.randint(0, 2**52, shape, generator=torch.Generator().manual_seed(seed))
    return (numbers % 200 if dtype != torch.int64 else numbers).to(dtype)


def nested() -> st.SearchStrategy[Any]:
    return st.recursive(
        tensors(),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.sampled_from(["boxes", "masks", "scores"]), inner, min_size=1)
        ),
        max_leaves=6,
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return set(one) == set(other) and all(_same(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(_same, one, other))


@given(nested())
def test_what_is_joined_comes_apart_again(value: Any) -> None:
    structure = Structure.of(value, "it")
    joined = structure.joined(value, "it")
    assert len(joined) == 3 and (joined.dim() == 2 or len(structure.parts) == 1)
    assert _same(value, structure.apart(joined))
    assert _same(value, structure.apart(torch.cat([joined, joined])[3:]))
    assert Structure.from_json(json.loads(json.dumps(structure.as_json()))) == structure


def test_gradients_go_through() -> None:
    value = {"a": torch.ones(2, 3, requires_grad=True), "b": [torch.ones(2, requires_grad=True), None]}
    structure = Structure.of(value, "it")
    again = structure.apart(structure.joined(value, "it"))
    (again["a"].sum() + 2 * again["b"][0].sum()).backward()
    assert str(structure) == "a 3, b.0 a number"
    assert value["a"].grad.unique().tolist() == [1] and value["b"][0].grad.tolist() == [2, 2]


def test_the_order_of_keys_does_not_matter() -> None:
    one, other = (
        {"a": torch.zeros(2, 1), "b": torch.ones(2, 2)},
        {"b": torch.ones(2, 2), "a": torch.zeros(2, 1)},
    )
    structure = Structure.of(one, "it")
    assert torch.equal(structure.joined(one, "it"), structure.joined(other, "it"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": 3}, "it: a is a int; expected tensors, in lists, tuples or dicts"),
        ([torch.tensor(3.0)], "it: 0 is one number; expected one for each example"),
        ({1: torch.zeros(2)}, "it: a dict has the key 1; expected a word"),
        ([None, {}], "it: there is no tensor in it"),
    ],
)
def test_what_has_no_structure_is_one_line(value: Any, said: str) -> None:
    with pytest.raises(HwticketsError) as raised:
        Structure.of(value, "it")
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([torch.zeros(2, 3)], "it: 0; expected 0, 1 as at first, in training and in evaluation alike"),
        (torch.zeros(2, 3), "it: it; expected 0, 1 as at first"),
        ([torch.zeros(2, 3), torch.zeros(1, 4)], r"it: 1 has the shape \(1, 4\); expected \(2, 4\)"),
        ([torch.zeros(2, 3), torch.zeros(2, 5)], r"it: 1 has the shape \(2, 5\); expected \(2, 4\)"),
    ],
)
def test_a_batch_of_another_structure_is_one_line(value: Any, said: str) -> None:
    structure = Structure.of([torch.zeros(2, 3), torch.zeros(2, 4)], "it")
    with pytest.raises(HwticketsError, match=said):
        structure.joined(value, "it")

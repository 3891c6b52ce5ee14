from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hwtickets.sparsity.selection import Scope, keep_best

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
#: Few different values: most of them are equal, as reactivated weights are that are still zero.
LAYERS = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=1, max_size=40), min_size=1, max_size=5
)


def _layers(values: list[list[float]]) -> dict[str, Tensor]:
    return {f"layer{number}": torch.tensor(row) for number, row in enumerate(values)}


@QUICK
@given(values=LAYERS, sparsity=st.floats(0, 0.99), floor=st.floats(0, 1))
def test_as_many_are_removed_as_asked_for_unless_the_floors_keep_more(
    values: list[list[float]], sparsity: float, floor: float
) -> None:
    scores = _layers(values)
    kept = keep_best(scores, sparsity, "global", floor)
    total = sum(len(row) for row in values)
    least = {name: max(1, round(floor * len(score))) for name, score in scores.items()}
    assert sum(int((~mask).sum()) for mask in kept.values()) == min(
        int(sparsity * total), total - sum(least.values())
    )
    assert all(int(mask.sum()) >= least[name] for name, mask in kept.items())


@QUICK
@given(values=LAYERS, sparsity=st.floats(0, 0.99), floor=st.floats(0, 1))
def test_every_layer_loses_the_same_share_in_layer_scope(
    values: list[list[float]], sparsity: float, floor: float
) -> None:
    scores = _layers(values)
    for name, mask in keep_best(scores, sparsity, "layer", floor).items():
        least = max(1, round(floor * len(mask)))
        assert int((~mask).sum()) == min(int(sparsity * len(mask)), len(mask) - least)
        if not mask.all():
            assert scores[name][mask].min() >= scores[name][~mask].max(), "the best of the layer stay"


@QUICK
@given(values=LAYERS, sparsity=st.floats(0, 0.99))
def test_what_competes_is_ranked_over_all_layers(values: list[list[float]], sparsity: float) -> None:
    scores = _layers(values)
    kept = keep_best(scores, sparsity, "global", 0.0)
    removed = [score[~kept[name]] for name, score in scores.items()]
    worst = torch.cat(removed).max() if any(len(part) for part in removed) else -math.inf
    for name, score in scores.items():
        if int(kept[name].sum()) > 1:
            assert score[kept[name]].sort().values[:-1].min() >= worst, "but for the best of its layer"


def test_what_is_excluded_stays_so() -> None:
    scores = torch.tensor([3.0, -math.inf, 1.0, -math.inf])
    assert keep_best({"a": scores}, 0.5, "global", 0.0)["a"].tolist() == [True, False, True, False]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_shapes_and_scores_stay_as_they_are(scope: Scope) -> None:
    scores = torch.rand(4, 3, 2, 2).to(memory_format=torch.channels_last)
    before = scores.clone()
    mask = keep_best({"a": scores}, 0.5, scope, 0.1)["a"]
    assert mask.shape == scores.shape and mask.dtype == torch.bool
    assert torch.equal(scores, before) and scores[mask].min() > scores[~mask].max()

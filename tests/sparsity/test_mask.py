from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwtickets.sparsity.mask import (
    apply_masks,
    empty_filters,
    magnitude_masks,
    maskable_weights,
    sparsity_of,
)
from hwtickets.supernets import Supernet, build_supernet


def test_convolutions_alone_are_masked(tiny_model: Callable[..., Supernet]) -> None:
    model = tiny_model()
    convolutions = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(maskable_weights(model)) == convolutions
    assert "stem.0.weight" in convolutions and "classifier.weight" not in convolutions


def test_the_layer_of_the_outputs_and_transformers_stay_dense() -> None:
    model = build_supernet("hrnas-tiny", (3, 32, 32), 5, {"head": "dense", "tokens": 8})
    convolutions = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    left = convolutions - set(maskable_weights(model))
    assert {name for name in left if ".mixers." not in name} == {"head.classifier.weight"}
    assert any(name.endswith("input_proj.weight") for name in left)


@given(sparsity=st.floats(0, 0.99))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_exactly_the_smallest_weights_of_the_whole_network_go(
    tiny_model: Callable[..., Supernet], sparsity: float
) -> None:
    model = tiny_model()
    every = torch.cat([weight.detach().abs().flatten() for weight in maskable_weights(model).values()])
    masks = magnitude_masks(model, sparsity, layer_floor=0.0)
    kept = torch.cat([mask.flatten() for mask in masks.values()])
    removed = int(sparsity * len(every))
    # A layer that would vanish keeps its largest weight.
    rescued = sum(int(mask.sum()) == 1 for mask in masks.values())
    assert removed - rescued <= int((~kept).sum()) <= removed
    if removed and not rescued:
        assert every[~kept].max() < every[kept].min()


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_every_layer_keeps_its_floor_and_its_largest_weights(
    tiny_model: Callable[..., Supernet], sparsity: float
) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.stem[0].weight.mul_(1e-3)
    masks = magnitude_masks(model, sparsity, layer_floor=0.25)
    for name, mask in masks.items():
        weight = model.get_parameter(name).detach().abs()
        assert int(mask.sum()) >= round(0.25 * mask.numel()), name
        assert weight[mask].min() >= weight[~mask].max(), name
    stem = masks["stem.0.weight"]
    assert int(stem.sum()) == round(0.25 * stem.numel()), "only the floor saved the small weights of the stem"


def test_masks_set_weights_to_zero(tiny_model: Callable[..., Supernet]) -> None:
    model = tiny_model()
    assert sparsity_of(model) == 0.0
    masks = magnitude_masks(model, 0.5, 0.0)
    before = model.get_parameter("head.0.weight").detach().clone()
    apply_masks(model, masks)
    mask = masks["head.0.weight"]
    after = model.get_parameter("head.0.weight").detach()
    assert torch.equal(after[mask], before[mask]) and not after[~mask].any()
    assert sparsity_of(model) == pytest.approx(0.5, abs=1e-3)


def test_no_sparsity_removes_nothing(tiny_model: Callable[..., Supernet]) -> None:
    assert all(bool(mask.all()) for mask in magnitude_masks(tiny_model(), 0.0, 0.05).values())


@given(sparsity=st.floats(0, 0.99))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_of_masks_that_open_the_empty_filters_stay(
    tiny_model: Callable[..., Supernet], sparsity: float
) -> None:
    masks = magnitude_masks(tiny_model(), sparsity, layer_floor=0.0)
    closed = empty_filters(masks)
    for name, mask in masks.items():
        empty = ~mask.flatten(1).any(1)
        assert (name in closed) == bool(empty.any()), name
        if name in closed:
            assert not closed[name][empty].any() and closed[name][~empty].all(), name

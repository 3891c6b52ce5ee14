from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from hwtickets.errors import UsageError
from hwtickets.sparsity.mask import magnitude_masks
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.sparsity.pruner import WEIGHT_IMPORTANCES, Pruner
from hwtickets.sparsity.synflow import SynFlow
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task


@pytest.fixture
def evidence(tiny_model: Callable[..., Supernet], tiny_task: Task) -> Evidence:
    return Evidence(tiny_model(), lambda: [tiny_task.train_batch(step) for step in range(2)], tiny_task.loss)


@pytest.mark.parametrize("importance", sorted(WEIGHT_IMPORTANCES))
@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block-4x4"])
def test_any_importance_goes_with_any_pattern(evidence: Evidence, importance: str, pattern: str) -> None:
    pruner = Pruner.of(pattern, importance, "global", 0.05)
    share = pruner.granularity.share
    before = {name: tensor.clone() for name, tensor in evidence.model.state_dict().items()}
    first = pruner.masks(evidence, share or 0.3)
    second = pruner.masks(evidence, share or 0.6, first)
    for masks, sparsity in ((first, 0.3), (second, 0.6)):
        removed = sum(int((~mask).sum()) for mask in masks.values())
        total = sum(mask.numel() for mask in masks.values())
        assert removed / total == pytest.approx(share or sparsity, abs=16 / total)
    assert all(not (second[name] & ~first[name]).any() for name in first), "what is removed stays removed"
    assert set(first) == set(pruner.granularity.layers(evidence.model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in evidence.model.state_dict().items())


def test_the_default_is_global_magnitude(evidence: Evidence) -> None:
    masks = Pruner.of("unstructured", "magnitude", "global", 0.1).masks(evidence, 0.7)
    expected = magnitude_masks(evidence.model, 0.7, 0.1)
    assert all(torch.equal(mask, expected[name]) for name, mask in masks.items())


def test_scope_and_floor_are_passed_on(evidence: Evidence) -> None:
    layered = Pruner.of("unstructured", "magnitude", "layer", 0.0).masks(evidence, 0.5)
    assert all(int((~mask).sum()) == mask.numel() // 2 for mask in layered.values())
    floored = Pruner.of("unstructured", "magnitude", "global", 0.25).masks(evidence, 0.9)
    assert all(int(mask.sum()) >= round(0.25 * mask.numel()) for mask in floored.values())


def test_synflow_in_many_rounds_empties_no_layer(evidence: Evidence) -> None:
    """The paper's claim (figure 1): a score of one round alone cuts layers off, many small rounds do not."""
    smallest = {}
    for rounds in (1, 60):
        pruner = Pruner(build_granularity("unstructured"), SynFlow(rounds), "global", 0.0)
        masks = pruner.masks(evidence, 0.97)
        smallest[rounds] = min(float(mask.float().mean()) for mask in masks.values())
        removed = sum(int((~mask).sum()) for mask in masks.values())
        assert removed == int(0.97 * sum(mask.numel() for mask in masks.values()))
    assert smallest[60] > smallest[1]


@pytest.mark.parametrize(
    ("pattern", "importance", "message"),
    [("2:4", "snap", "unknown mask importance 'snap'; did you mean 'snip'"), ("3", "snip", "mask pattern")],
)
def test_unknown_names_are_refused(pattern: str, importance: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pruner.of(pattern, importance, "global", 0.0)

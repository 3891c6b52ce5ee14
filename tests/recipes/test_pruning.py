from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hwtickets.config import SearchConfig
from hwtickets.recipes.pruning import GrowingMasks, masks_at_once, shuffled
from hwtickets.sparsity.mask import magnitudes, maskable_weights, sparsity_of
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import Cosine

FIRST, STEPS = 10, 53


def _config(**more: object) -> SearchConfig:
    asked = {"budgets": {"macs": "50%"}, "sparsity": 0.6, "prune_schedule": [0.3, 0.6], "ema_decay": 0.9}
    return SearchConfig.model_validate({**asked, **more})


def _train(
    model: Supernet, task: Task, growing: GrowingMasks, file: Path, advance: Callable[..., None]
) -> None:
    rate = Cosine(0.05, FIRST + STEPS, FIRST)
    training = PlainTraining(rate, FIRST, FIRST + STEPS, 5e-4, 0.9, 0, 2)
    train_plain(model, task, training, growing.masks, file, advance, growing.hooks, growing.triggers)


@pytest.mark.parametrize("reactivation", ["none", "after-prune"])
def test_masks_grow_while_the_network_is_trained(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, reactivation: str
) -> None:
    model, growing = tiny_model(), GrowingMasks(_config(reactivation=reactivation), FIRST, STEPS)
    seen: list[float] = []
    _train(model, tiny_task, growing, tmp_path / "c", lambda *_, **__: seen.append(sparsity_of(model)))
    zeros = {name: weight == 0 for name, weight in maskable_weights(model).items()}
    assert sparsity_of(model) == pytest.approx(0.6, abs=0.01)
    assert all(torch.equal(~mask, zeros[name]) for name, mask in growing.masks.items())
    between = seen[round(0.4 * STEPS)]
    assert between == pytest.approx(0.3 if reactivation == "none" else 0.0, abs=0.02)
    assert seen[round(0.2 * STEPS)] == 0 and seen[-1] == pytest.approx(0.6, abs=0.01)


def test_growing_masks_go_on_after_a_kill(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path
) -> None:
    def run(model: Supernet, name: str, advance: Callable[..., None]) -> None:
        _train(model, tiny_task, GrowingMasks(_config(), FIRST, STEPS), tmp_path / name, advance)

    undisturbed, killed, resumed = tiny_model(), tiny_model(), tiny_model(1)
    run(undisturbed, "a", lambda *_, **__: None)
    done: list[int] = []

    def interrupt(count: int, note: str = "") -> None:
        done.append(count)
        if len(done) == STEPS - 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(killed, "b", interrupt)
    run(resumed, "b", lambda *_, **__: None)
    state = resumed.state_dict()
    assert [n for n, t in undisturbed.state_dict().items() if not torch.equal(t, state[n])] == []


def test_masks_at_once_reach_the_last_sparsity(tiny_model: Callable[..., Supernet], tiny_task: Task) -> None:
    model = tiny_model()
    masks = masks_at_once(model, tiny_task, _config())
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept / sum(mask.numel() for mask in masks.values()) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(("pattern", "sparsity"), [("unstructured", 0.7), ("2:4", 0.5), ("block-4x4", 0.6)])
def test_shuffling_keeps_the_share_of_every_layer_and_the_pattern(
    tiny_model: Callable[..., Supernet], pattern: str, sparsity: float
) -> None:
    model, granularity = tiny_model(), build_granularity(pattern)
    masks = granularity.masks(model, magnitudes(model), sparsity)
    mixed = shuffled(model, masks, pattern, seed=3)
    assert mixed.keys() == masks.keys()
    for name, mask in masks.items():
        assert int(mixed[name].sum()) == int(mask.sum()), name
    assert any(not torch.equal(mixed[name], masks[name]) for name in masks)
    same = shuffled(model, masks, pattern, seed=3)
    assert all(torch.equal(same[name], mixed[name]) for name in masks)
    if pattern == "2:4":
        for mask in mixed.values():
            groups = mask.movedim(1, -1).unflatten(-1, (-1, 4))
            assert int(groups.sum(-1).max()) == int(groups.sum(-1).min()) == 2
    if pattern == "block-4x4":
        for mask in mixed.values():
            blocks = mask[:, :, 0, 0].unflatten(0, (-1, 4)).unflatten(-1, (-1, 4)).sum((1, 3))
            assert set(blocks.flatten().tolist()) <= {0, 16}

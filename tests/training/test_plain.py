from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hwtickets.sparsity.mask import magnitude_masks
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import Cosine


def _training(first: int = 0, steps: int = 6, rate: float = 0.1) -> PlainTraining:
    return PlainTraining(Cosine(rate, first + steps, first), first, first + steps, 5e-4, 0.9, 0, 3)


def test_training_learns_and_ends_in_evaluation_mode(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    model = tiny_model()
    x, target = tiny_task.train_batch(0)
    before = float(tiny_task.loss(model.eval()(x), target).detach())
    train_plain(model, tiny_task, _training(steps=25, rate=0.05), {}, None)
    assert not model.training
    assert float(tiny_task.loss(model(x), target).detach()) < 0.9 * before


def test_removed_weights_stay_removed(tiny_model: Callable[..., Supernet], tiny_task: Task) -> None:
    model = tiny_model()
    masks = magnitude_masks(model, 0.5, 0.1)
    train_plain(model, tiny_task, _training(steps=3), masks, None)
    for name, mask in masks.items():
        weight = model.get_parameter(name)
        assert not weight[~mask].any(), name
        assert weight[mask].abs().min() > 0, name


@pytest.mark.parametrize("first", [0, 4])
def test_a_run_that_was_cut_off_ends_the_same(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, first: int
) -> None:
    steps = 53 - first
    undisturbed, resumed = tiny_model(), tiny_model()
    train_plain(undisturbed, tiny_task, _training(first, steps), {}, None)
    shown = []

    def interrupt(count: int, note: str = "") -> None:
        shown.append(count)
        if len(shown) == steps - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_plain(resumed, tiny_task, _training(first, steps), {}, tmp_path / "c", interrupt)
    resumed, counts = tiny_model(1), []
    train_plain(
        resumed, tiny_task, _training(first, steps), {}, tmp_path / "c", lambda n, note="": counts.append(n)
    )
    assert counts[0] == 50 - first and sum(counts) == steps, "the steps before the kill are counted as done"
    assert all(torch.equal(t, resumed.state_dict()[name]) for name, t in undisturbed.state_dict().items())

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from hwtickets.search.masking import ProgressiveMasks
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mask import sparsity_of
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import LearningRate, build_optimizer

EVENTS = (2, 4)


class _Sparsity(Hook):
    """The share of zeros after every step, and right after every event."""

    def __init__(self) -> None:
        self.after: dict[int, float] = {}
        self.at_event: dict[int, float] = {}

    def after_step(self, loop: TrainingLoop) -> None:
        self.after[loop.step + 1] = sparsity_of(loop.model)

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        self.at_event[loop.step] = sparsity_of(loop.model)


@pytest.fixture
def train(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> Callable[[str, int], tuple[TrainingLoop, ProgressiveMasks, _Sparsity]]:
    def run(reactivation: str, steps: int) -> tuple[TrainingLoop, ProgressiveMasks, _Sparsity]:
        model, seen = tiny_model(), _Sparsity()
        masks = ProgressiveMasks([0.3, 0.6], reactivation, 0.0)
        loop = TrainingLoop(
            model,
            tiny_task,
            build_optimizer(model, 5e-4),
            LearningRate(0.1, 10),
            [masks, seen],
            steps,
            triggers={"prune": lambda step: step in EVENTS, "shrink": lambda step: step == 3},
        )
        loop.run()
        return loop, masks, seen

    return run


def test_sparsity_rises_event_by_event_and_stays(
    train: Callable[[str, int], tuple[TrainingLoop, ProgressiveMasks, _Sparsity]],
) -> None:
    _, masks, seen = train("none", 6)
    assert seen.at_event[2] == pytest.approx(0.3, abs=0.01)
    assert seen.at_event[4] == pytest.approx(0.6, abs=0.01)
    assert seen.after[1] == seen.after[2] == 0.0
    assert seen.after[3] == seen.after[4] == seen.at_event[2], "no weight comes back without reactivation"
    assert seen.after[5] == seen.after[6] == seen.at_event[4]
    assert set(masks.tensors()) and masks.facts() == {"done": 2}


def test_reactivated_weights_begin_again_from_zero_until_the_last_event(
    train: Callable[[str, int], tuple[TrainingLoop, ProgressiveMasks, _Sparsity]],
) -> None:
    _, masks, seen = train("after-prune", 3)
    assert seen.at_event[2] == pytest.approx(0.3, abs=0.01), "they were set to zero"
    assert seen.after[3] < 0.05 and not masks.masks, "and are free in the next step"
    _, masks, seen = train("after-prune", 6)
    assert seen.at_event[4] == seen.after[5] == seen.after[6] == pytest.approx(0.6, abs=0.01)
    assert masks.masks, "after the last event they stay"


def test_a_shrink_cuts_masks_along_and_never_resets_them(
    train: Callable[[str, int], tuple[TrainingLoop, ProgressiveMasks, _Sparsity]], tiny_space: SearchSpace
) -> None:
    loop, hook, _ = train("none", 5)
    before = {name: mask.clone() for name, mask in hook.masks.items()}
    kept = {name: torch.arange(8) for name in tiny_space.units} | {"blocks.1.k5": torch.arange(0)}
    keep_channels(loop.model, tiny_space.units.values(), kept, loop.optimizer, [hook.masks])
    loop.steps = 6
    loop.run()
    assert torch.equal(hook.masks["head.0.weight"], before["head.0.weight"])
    cut = hook.masks["blocks.1.branches.k3.project.weight"]
    assert torch.equal(cut, before["blocks.1.branches.k3.project.weight"][:, :8])
    assert not [name for name in hook.masks if "blocks.1.branches.k5." in name]
    for name, mask in hook.masks.items():
        assert not loop.model.get_parameter(name)[~mask].any(), name


def test_masks_come_back_from_a_checkpoint(
    train: Callable[[str, int], tuple[TrainingLoop, ProgressiveMasks, _Sparsity]],
) -> None:
    _, hook, _ = train("none", 3)
    again = ProgressiveMasks([0.3, 0.6], "none", 0.05)
    again.restore({name: mask.to(torch.uint8) for name, mask in hook.tensors().items()}, hook.facts())
    assert again.facts() == {"done": 1}
    assert all(torch.equal(mask, again.masks[name]) for name, mask in hook.masks.items())
    assert all(mask.dtype == torch.bool for mask in again.masks.values())

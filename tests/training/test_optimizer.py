from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.loop import TrainingLoop
from hwtickets.training.optimizer import OPTIMIZERS, build_optimizer, optimizer_tensors
from hwtickets.training.rmsprop import RMSprop
from hwtickets.training.schedules import Cosine

STEPS = 6
RATES = {"sgd": 0.05, "rmsprop": 0.005, "adam": 0.005, "adamw": 0.005}


def _loop(model: Supernet, task: Task, name: str, checkpoint: Path) -> TrainingLoop:
    optimizer = build_optimizer(model, 1e-3, name)
    rate = Cosine(RATES[name], STEPS)
    return TrainingLoop(model, task, optimizer, rate, [Checkpointer(checkpoint)], STEPS, interval=2)


def _state(loop: TrainingLoop) -> dict[str, Tensor]:
    return {**loop.model.state_dict(), **optimizer_tensors(loop.model, loop.optimizer)}


@pytest.mark.parametrize("killed_after", [2, 3, 5])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_goes_on_bit_for_bit(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, name: str, killed_after: int
) -> None:
    undisturbed = _loop(tiny_model(), tiny_task, name, tmp_path / "a")
    undisturbed.run()
    killed = _loop(tiny_model(), tiny_task, name, tmp_path / "b")

    def advance(count: int, note: str) -> None:
        if killed.step > killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(advance)
    resumed = _loop(tiny_model(1), tiny_task, name, tmp_path / "b")
    restore_loop(resumed, *read_checkpoint(tmp_path / "b"))
    assert resumed.step == killed_after // 2 * 2
    resumed.run()
    expected, actual = _state(undisturbed), _state(resumed)
    assert set(expected) == set(actual)
    assert [key for key in expected if not torch.equal(expected[key], actual[key])] == []


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_state_is_cut_with_the_channels_and_training_goes_on(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tiny_task: Task, tmp_path: Path, name: str
) -> None:
    loop = _loop(tiny_model(), tiny_task, name, tmp_path / "a")
    loop.steps = 3
    loop.run()
    before = optimizer_tensors(loop.model, loop.optimizer)
    kept = {unit: torch.arange(1, width, 2) for unit, width in tiny_space.dense().items()}
    keep_channels(loop.model, tiny_space.units.values(), kept, loop.optimizer)
    after = optimizer_tensors(loop.model, loop.optimizer)
    assert set(after) == set(before)
    dims = {
        member.name: (member.dim, unit)
        for unit in tiny_space.units
        for member in tiny_space.units[unit].members
    }
    for path, tensor in before.items():
        parameter = path.rpartition("/")[0]
        wanted = tensor
        if tensor.dim() and parameter in dims:
            dim, unit = dims[parameter]
            wanted = tensor.index_select(dim, kept[unit])
        assert torch.equal(after[path], wanted), path
    loop.steps = 5
    loop.run()
    assert loop.step == 5


def test_rmsprop_adds_epsilon_inside_the_root() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3))
    mean_square, step, expected = torch.zeros(3), torch.zeros(3), weight.detach().clone()
    optimizer = RMSprop([{"params": [weight], "weight_decay": 0.1}], lr=0.02, eps=1e-3)
    for _ in range(4):
        gradient = torch.randn(3)
        weight.grad = gradient.clone()
        optimizer.step()
        decayed = gradient + 0.1 * expected
        mean_square = 0.9 * mean_square + 0.1 * decayed**2
        step = 0.9 * step + decayed / (mean_square + 1e-3).sqrt()
        expected = expected - 0.02 * step
        torch.testing.assert_close(weight.detach(), expected)


def test_decay_is_coupled_or_not_as_the_name_says(tiny_model: Callable[..., Supernet]) -> None:
    """A zero gradient: the coupled decay is scaled to a whole step, the decoupled one is not."""
    moved = {}
    for name in ("adam", "adamw"):
        model = tiny_model()
        before = model.classifier.weight.detach().clone()
        optimizer = build_optimizer(model, 0.1, name)
        for group in optimizer.param_groups:
            group["lr"] = 0.01
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        moved[name] = before - model.classifier.weight.detach(), before
    change, before = moved["adam"]
    torch.testing.assert_close(change, 0.01 * before.sign(), atol=1e-4, rtol=0)
    change, before = moved["adamw"]
    torch.testing.assert_close(change, 0.01 * 0.1 * before)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_norms_are_not_decayed(
    shake: Callable[..., Supernet], tiny_model: Callable[..., Supernet], name: str
) -> None:
    model = shake(tiny_model())
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, 0.5, name)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    still = {key for key, parameter in model.named_parameters() if torch.equal(parameter, before[key])}
    of_norms = {key for key in before if "bn" in key or key.startswith(("stem.1", "head.1"))}
    bias = {"classifier.bias"} if name == "sgd" else set()
    assert still == of_norms | bias


def test_an_unknown_optimizer_is_one_line(tiny_model: Callable[..., Supernet]) -> None:
    with pytest.raises(UsageError, match="unknown optimizer 'adamv'; did you mean 'adam"):
        build_optimizer(tiny_model(), 0.0, "adamv")

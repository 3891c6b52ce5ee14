from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.files import write_tensors
from hwtickets.search.masking import ProgressiveMasks
from hwtickets.sparsity.pruner import Pruner
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.tasks.task import Task
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.ema import EMA
from hwtickets.training.loop import Hook, TrainingLoop, every_share
from hwtickets.training.optimizer import build_optimizer, optimizer_tensors
from hwtickets.training.schedules import Cosine, OneCycle

STEPS = 6


def _supernet(seed: int) -> Supernet:
    torch.manual_seed(seed)
    sizes = {"stem_channels": 8, "stages": [[16, 1, 1]], "kernel_sizes": [3], "dropout": 0.3}
    return build_supernet("mobile", (1, 12, 12), 10, sizes)


def _loop(task: Task, checkpoint: Path, steps: int = STEPS, seed: int = 0) -> TrainingLoop:
    model = _supernet(seed)
    pruner = Pruner.of("unstructured", "magnitude", "global", 0.05)
    masks = ProgressiveMasks([0.2, 0.4], "none", pruner)
    return TrainingLoop(
        model,
        task,
        build_optimizer(model, 5e-4),
        Cosine(0.1, STEPS),
        [masks, EMA(0.9), Checkpointer(checkpoint)],
        steps,
        triggers={"prune": every_share([0.3, 0.7], STEPS)},
        interval=2,
        seed=0,
    )


def _state(loop: TrainingLoop) -> dict[str, Tensor]:
    tensors = dict(loop.model.state_dict())
    tensors |= {f"optimizer/{n}": t for n, t in optimizer_tensors(loop.model, loop.optimizer).items()}
    for hook in loop.hooks:
        tensors |= {f"{hook.name}/{name}": tensor for name, tensor in hook.tensors().items()}
    return tensors


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_and_restored_run_ends_bit_for_bit_like_an_undisturbed_one(
    tiny_task: Task, tmp_path: Path, killed_after: int
) -> None:
    undisturbed = _loop(tiny_task, tmp_path / "a")
    undisturbed.run()
    killed = _loop(tiny_task, tmp_path / "b")
    steps = 0

    def advance(count: int, note: str) -> None:
        nonlocal steps
        steps += count
        if steps > killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(advance)
    # Another seed: nothing of what the restored run computes comes from its own beginning.
    restored = _loop(tiny_task, tmp_path / "b", seed=1)
    if killed_after > 1:
        restore_loop(restored, *read_checkpoint(tmp_path / "b"))
        assert restored.step == 2 * (killed_after // 2)
    else:
        assert not (tmp_path / "b").exists(), "the first interval was not reached"
        restored.model.load_state_dict(_supernet(0).state_dict())
    restored.run()
    expected, actual = _state(undisturbed), _state(restored)
    assert set(expected) == set(actual)
    assert [name for name in expected if not torch.equal(expected[name], actual[name])] == []
    assert restored.loss == undisturbed.loss


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_one_cycle_moves_the_momentum_against_the_rate(tiny_task: Task, name: str) -> None:
    model = _supernet(0)
    optimizer = build_optimizer(model, 0.0, name)
    seen: list[tuple[float, float]] = []

    class Seen(Hook):
        name = "seen"

        def after_step(self, loop: TrainingLoop) -> None:
            (momentum,) = {
                group["betas"][0] if "betas" in group else group["momentum"]
                for group in loop.optimizer.param_groups
            }
            seen.append((loop.rate, momentum))

    rate = OneCycle(0.01, 10)
    TrainingLoop(model, tiny_task, optimizer, rate, [Seen()], 10).run()
    momenta = [momentum for _, momentum in seen]
    assert momenta == [rate.momentum(step) for step in range(10)]
    assert momenta[0] == pytest.approx(0.95) and momenta[2] == pytest.approx(0.85)
    assert max(seen)[1] == min(momenta)


class _Recorder(Hook):
    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def on_step_begin(self, loop: TrainingLoop) -> None:
        self.calls.append(("begin", loop.step))

    def after_backward(self, loop: TrainingLoop) -> None:
        assert all(parameter.grad is not None for parameter in loop.model.parameters())
        self.calls.append(("backward", loop.step))

    def after_step(self, loop: TrainingLoop) -> None:
        self.calls.append(("step", loop.step))

    def on_interval(self, loop: TrainingLoop) -> None:
        self.calls.append(("interval", loop.step))

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        self.calls.append((event, loop.step))


def test_the_five_hooks_are_called_in_order(tiny_task: Task) -> None:
    model, recorder = _supernet(0), _Recorder()
    triggers = {"shrink": every_share([0.5], 3)}
    rate = Cosine(0.1, 3)
    TrainingLoop(
        model, tiny_task, build_optimizer(model, 0.0), rate, [recorder], 3, triggers=triggers, interval=2
    ).run()
    step = ["begin", "backward", "step"]
    assert recorder.calls == [
        *((name, 0) for name in step),
        *((name, 1) for name in step),
        ("shrink", 2),
        ("interval", 2),
        *((name, 2) for name in step),
        ("interval", 3),
    ]


def test_a_loss_that_is_not_finite_is_one_line(tiny_task: Task) -> None:
    model = _supernet(0)
    loop = TrainingLoop(model, tiny_task, build_optimizer(model, 0.0), Cosine(1e30, 9), [], 9)
    with pytest.raises(
        HwticketsError, match=r"the loss is (nan|inf) at step \d.*; lower learning_rate"
    ) as caught:
        loop.run()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [2**31, 2**63 - 1])
def test_every_seed_that_is_allowed_can_be_trained_with(tiny_task: Task, seed: int) -> None:
    model = _supernet(0)
    loop = TrainingLoop(model, tiny_task, build_optimizer(model, 0.0), Cosine(0.1, 2), [], 2, seed=seed)
    loop.run()
    assert loop.step == 2


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_damaged_checkpoint_is_one_line(tiny_task: Task, tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "a"
    _loop(tiny_task, path, steps=2).run()
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(HwticketsError, match=str(path)) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_other_tensors_are_no_checkpoint(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", {"weight": torch.zeros(2)})
    with pytest.raises(HwticketsError, match="not a checkpoint of hwtickets"):
        read_checkpoint(tmp_path / "a")

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hwtickets.errors import UsageError
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.compute import Compute
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine


class _Gradients(Hook):
    name = "gradients"

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def after_backward(self, loop: TrainingLoop) -> None:
        named = loop.model.named_parameters()
        self.seen.append({name: weight.grad.clone() for name, weight in named if weight.grad is not None})


def _loop(model: Supernet, task: Task, compute: Compute, hooks: list[Hook], steps: int = 3) -> TrainingLoop:
    rate = Cosine(0.05, 20)
    return TrainingLoop(
        model, task, build_optimizer(model, 0.0), rate, hooks, steps, interval=1, compute=compute
    )


def _angle(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Cosine between two gradients of the whole network."""
    a, b = (torch.cat([g[name].flatten() for name in sorted(g)]) for g in (ours, theirs))
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_sees_nearly_the_same_gradients_and_keeps_weights_in_fp32(
    tiny_model: Callable[..., Supernet], tiny_task: Task, precision: str
) -> None:
    exact, rounded = _Gradients(), _Gradients()
    _loop(tiny_model(), tiny_task, Compute("cpu"), [exact]).run()
    loop = _loop(tiny_model(), tiny_task, Compute("cpu", precision), [rounded])
    loop.run()
    assert len(rounded.seen) == 3
    # Scaled gradients of fp16 would be 65,536 times as long.
    assert _angle(rounded.seen[0], exact.seen[0]) > 0.98
    norms = [sum(float(g.square().sum()) for g in kind.seen[0].values()) for kind in (rounded, exact)]
    assert norms[0] == pytest.approx(norms[1], rel=0.1)
    assert not torch.equal(rounded.seen[0]["stem.0.weight"], exact.seen[0]["stem.0.weight"])
    assert all(weight.dtype == torch.float32 for weight in loop.model.parameters())


def test_a_step_that_overflows_changes_nothing_and_the_scale_comes_back_from_a_checkpoint(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path
) -> None:
    seen = _Gradients()
    loop = _loop(tiny_model(), tiny_task, Compute("cpu", "fp16"), [seen, Checkpointer(tmp_path / "c")], 1)
    loop.accelerator.restore({**loop.accelerator.state(), "scale": 2.0**40})
    before = {name: weight.detach().clone() for name, weight in loop.model.named_parameters()}
    loop.run()
    assert all(torch.equal(weight, before[name]) for name, weight in loop.model.named_parameters())
    assert seen.seen == [], "scores are not to be learnt from gradients that overflowed"
    assert loop.accelerator.state()["scale"] == 2.0**39
    resumed = _loop(tiny_model(1), tiny_task, Compute("cpu", "fp16"), [Checkpointer(tmp_path / "c")], 1)
    restore_loop(resumed, *read_checkpoint(tmp_path / "c"))
    assert resumed.accelerator.state() == loop.accelerator.state()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_killed_run_in_mixed_precision_goes_on_bit_for_bit(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, precision: str
) -> None:
    undisturbed = _loop(tiny_model(), tiny_task, Compute("cpu", precision), [Checkpointer(tmp_path / "a")])
    undisturbed.run()
    first = _loop(tiny_model(), tiny_task, Compute("cpu", precision), [Checkpointer(tmp_path / "b")], 2)
    first.run()
    resumed = _loop(tiny_model(1), tiny_task, Compute("cpu", precision), [Checkpointer(tmp_path / "b")])
    restore_loop(resumed, *read_checkpoint(tmp_path / "b"))
    resumed.run()
    expected = undisturbed.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())


def test_parts_of_a_batch_add_up_to_its_gradient(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    """Batch norms that do not train see no difference between a batch and its parts."""
    gradients = {}
    for parts in (1, 4):
        model, seen = tiny_model(shaken=True), _Gradients()
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.requires_grad_(False)
        loop = _loop(model, tiny_task, Compute("cpu", accumulate=parts), [seen], 1)
        loop.run()
        gradients[parts] = seen.seen[0], loop.loss
    (whole, loss), (added, added_loss) = gradients[1], gradients[4]
    assert added_loss == pytest.approx(loss, rel=1e-5)
    assert set(added) == set(whole)
    for name, gradient in whole.items():
        torch.testing.assert_close(added[name], gradient, rtol=1e-3, atol=1e-5)


def test_a_batch_that_cannot_be_shared_out_is_one_line(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    loop = _loop(tiny_model(), tiny_task, Compute("cpu", accumulate=3), [])
    with pytest.raises(UsageError, match="batch_size 20 cannot be shared out evenly: there are 3 parts"):
        loop.run()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UsageError, match="accelerator cuda: there are 0 CUDA GPUs"):
        Accelerator(Compute("cuda"))
    assert Accelerator(Compute("auto")).device == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_trains_and_gives_the_network_back(
    tiny_model: Callable[..., Supernet], tiny_task: Task, precision: str
) -> None:
    seen = _Gradients()
    loop = _loop(tiny_model(), tiny_task, Compute("cuda", precision), [seen])
    loop.run()
    assert next(loop.model.parameters()).is_cuda
    exact = _Gradients()
    _loop(tiny_model(), tiny_task, Compute("cpu"), [exact]).run()
    on_cpu = {name: gradient.cpu() for name, gradient in seen.seen[0].items()}
    assert _angle(on_cpu, exact.seen[0]) > 0.98

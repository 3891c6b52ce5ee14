from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.batchnorm import recalibrate_on
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine


class _Lessons:
    """A task's lessons whose loss does something more."""

    def __init__(self, task: Task, also: Callable[[], None]) -> None:
        self.train_batch, self.calibration_batch = task.train_batch, task.calibration_batch
        self._task, self._also = task, also

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self._also()
        return self._task.loss(outputs, targets)


def _loop(model: Supernet, lessons: object, checkpoint: Path) -> TrainingLoop:
    rate, optimizer = Cosine(0.05, 6), build_optimizer(model, 0.0)
    return TrainingLoop(model, lessons, optimizer, rate, [Checkpointer(checkpoint)], 6, interval=2)


def _goes_on(model: Supernet, task: Task, checkpoint: Path, step: int) -> bool:
    loop = _loop(model, task, checkpoint)
    restore_loop(loop, *read_checkpoint(checkpoint))
    assert loop.step == step
    loop.run()
    return loop.step == 6


def _allocate_a_petabyte() -> None:
    torch.empty(10**15, dtype=torch.uint8).fill_(1)


def _raise_memory_error() -> None:
    raise MemoryError


@pytest.mark.parametrize("exhaust", [_allocate_a_petabyte, _raise_memory_error])
def test_memory_that_runs_out_is_one_line_and_the_checkpoint_stays(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, exhaust: Callable[[], None]
) -> None:
    calls = iter(range(100))
    lessons = _Lessons(tiny_task, lambda: exhaust() if next(calls) == 3 else None)
    with pytest.raises(HwticketsError, match=r"out of memory on cpu at step 3; raise accumulate") as caught:
        _loop(tiny_model(), lessons, tmp_path / "c").run()
    assert "\n" not in str(caught.value)
    assert _goes_on(tiny_model(1), tiny_task, tmp_path / "c", step=2)


def test_memory_may_run_out_in_a_hook_as_well(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path
) -> None:
    class Hungry(Hook):
        name = "hungry"

        def after_step(self, loop: TrainingLoop) -> None:
            _allocate_a_petabyte()

    loop = _loop(tiny_model(), tiny_task, tmp_path / "c")
    loop.hooks.append(Hungry())
    with pytest.raises(HwticketsError, match="out of memory on cpu at step 0"):
        loop.run()


@pytest.mark.parametrize(("call", "step"), [("on_trigger", 3), ("on_interval", 2)])
def test_memory_may_run_out_between_two_steps(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, call: str, step: int
) -> None:
    class Hungry(Hook):
        name = "hungry"

    setattr(Hungry, call, lambda *_: _allocate_a_petabyte())
    loop = _loop(tiny_model(), tiny_task, tmp_path / "c")
    loop.hooks.append(Hungry())
    loop.triggers = {"shrink": lambda finished: finished == 3}
    with pytest.raises(HwticketsError, match=f"out of memory on cpu after {step} steps; raise accumulate"):
        loop.run()
    assert _goes_on(tiny_model(1), tiny_task, tmp_path / "c", step=2)


def test_memory_that_runs_out_while_recalibrating_is_one_line(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    lessons = _Lessons(tiny_task, lambda: None)
    lessons.calibration_batch = lambda index: _allocate_a_petabyte()  # type: ignore[assignment, return-value]
    with pytest.raises(
        HwticketsError, match="out of memory on cpu while batch norms are recalibrated; lower"
    ):
        recalibrate_on(tiny_model(), lessons)


def test_other_errors_of_torch_stay_what_they_are(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path
) -> None:
    lessons = _Lessons(tiny_task, lambda: torch.zeros(2) @ torch.zeros(3))  # type: ignore[arg-type, return-value]
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        _loop(tiny_model(), lessons, tmp_path / "c").run()


@pytest.mark.parametrize(
    ("spoilt_at", "reason"),
    [(2, "the loss is nan at step 3 .*from classifier on, whose weights"), (3, "weights are not finite")],
)
def test_numbers_that_are_not_finite_never_reach_a_checkpoint(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path, spoilt_at: int, reason: str
) -> None:
    model = tiny_model()

    def spoil() -> None:
        if loop.step == spoilt_at:
            with torch.no_grad():
                model.classifier.bias.fill_(torch.nan)

    loop = _loop(model, _Lessons(tiny_task, spoil), tmp_path / "c")
    with pytest.raises(HwticketsError, match=f"{reason}.*; lower learning_rate") as caught:
        loop.run()
    assert "\n" not in str(caught.value)
    assert _goes_on(tiny_model(1), tiny_task, tmp_path / "c", step=2)


@contextmanager
def _room_for(size_bytes: int) -> Iterator[None]:
    """Files cannot grow beyond a size: to a program, a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(
    tiny_model: Callable[..., Supernet], tiny_task: Task, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    loop = _loop(tiny_model(), tiny_task, path)
    loop.steps = 2
    loop.run()
    loop.steps, good = 6, path.read_bytes()
    with _room_for(len(good) // 2), pytest.raises(HwticketsError, match=f"cannot write {path}") as caught:
        loop.run()
    assert "\n" not in str(caught.value)
    assert loop.step == 4
    assert path.read_bytes() == good and list(tmp_path.iterdir()) == [path]
    assert _goes_on(tiny_model(1), tiny_task, path, step=2)

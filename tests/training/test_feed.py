from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.supernets import Supernet
from hwtickets.tasks import Task
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.parts import load_part
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.compute import Compute
from hwtickets.training.feed import Feed
from hwtickets.training.teacher import TaughtLessons


class _WholeBatches:
    """Lessons that know nothing of parts."""

    def __init__(self, task: Task) -> None:
        self.train_batch, self.loss = task.train_batch, task.loss
        self.calibration_batch = task.calibration_batch


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_parts_are_the_batch(tiny_task: Task, count: int) -> None:
    x, targets = tiny_task.train_batch(12)
    for lessons in (tiny_task, _WholeBatches(tiny_task)):
        parts = [load_part(lessons, 12, index, count) for index in range(count)]
        assert torch.equal(torch.cat([part[0] for part in parts]), x)
        assert torch.equal(torch.cat([part[1] for part in parts]), targets)


def test_a_part_is_loaded_without_the_rest(tiny_task: Task) -> None:
    assert isinstance(tiny_task, Classification)
    asked: list[int] = []

    class Counting:
        labels = tiny_task.dataset.train.labels

        def __len__(self) -> int:
            return len(self.labels)

        def batch(self, indices: Tensor) -> Tensor:
            asked.append(len(indices))
            return tiny_task.dataset.train.batch(indices)

    task = Classification(replace(tiny_task.dataset, train=Counting()), 20)
    load_part(task, 0, 1, 4)
    assert asked == [5]


@pytest.mark.parametrize("count", [3, 40])
def test_parts_must_be_equal(tiny_task: Task, count: int) -> None:
    for lessons in (tiny_task, _WholeBatches(tiny_task)):
        with pytest.raises(
            UsageError, match=f"batch_size 20 cannot be shared out evenly: there are {count} parts"
        ):
            load_part(lessons, 0, 0, count)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_is_loaded_ahead_is_what_would_have_been_loaded_in_time(
    tiny_task: Task, accumulate: int
) -> None:
    accelerator = Accelerator(Compute("cpu", accumulate=accumulate))
    in_time, ahead = Feed(tiny_task, accelerator), Feed(tiny_task, accelerator, ahead=3)
    # A resumed run begins anywhere.
    for step in range(7, 20):
        for number in range(accumulate):
            for ours, theirs in zip(ahead.batch(step, number), in_time.batch(step, number), strict=True):
                assert torch.equal(ours, theirs)
    ahead.close()
    in_time.close()


def test_threads_load_and_their_errors_arrive(tiny_task: Task) -> None:
    threads = set()

    class Broken(_WholeBatches):
        def train_part(self, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
            threads.add(threading.current_thread())
            if step == 3:
                raise HwticketsError("image 3 is damaged")
            return tiny_task.train_batch(step)

    feed = Feed(Broken(tiny_task), Accelerator(Compute("cpu")), ahead=2)
    for step in range(3):
        feed.batch(step, 0)
    with pytest.raises(HwticketsError, match="image 3 is damaged"):
        feed.batch(3, 0)
    feed.close()
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_a_teacher_answers_the_part_that_is_trained_on(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    student, teacher = tiny_model().eval(), tiny_model(1)
    accelerator = Accelerator(Compute("cpu", accumulate=2))
    lessons = TaughtLessons(tiny_task, teacher, 0.5, 4.0)
    feed = Feed(lessons, accelerator, ahead=3)
    for number in range(2):
        x, targets = feed.batch(5, number)
        loss = lessons.loss(student(x), targets)
        own = tiny_task.loss(student(x), targets)
        taught = tiny_task.imitation_loss(student(x), teacher(x), 4.0)
        torch.testing.assert_close(loss, 0.5 * own + 0.5 * taught)
    feed.close()

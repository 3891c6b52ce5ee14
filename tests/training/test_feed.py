from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.supernets import Supernet
from hwtickets.tasks import Task
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.parts import load_part
from hwtickets.tasks.splits import ArraySplit, Pixels
from hwtickets.training import feed as feed_module
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

        def varied(self, indices: Tensor, rows: slice, generator: np.random.Generator) -> Pixels:
            asked.append(len(indices[rows]))
            return tiny_task.dataset.train.varied(indices, rows, generator)

        batch = tiny_task.dataset.train.batch

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


@pytest.fixture(scope="module")
def photographs() -> Classification:
    """Images of which one piece is loaded in several."""
    images = torch.randint(0, 256, (24, 3, 224, 224), dtype=torch.uint8)
    split = ArraySplit(images, torch.arange(24) % 2)
    half = torch.full((3,), 0.5)
    return Classification(Dataset("noise", split, split, split, ["a", "b"], half, half, 3, 224), 12)


@pytest.mark.parametrize(("threads", "pieces"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_batches_do_not_depend_on_the_number_of_threads(
    photographs: Classification, monkeypatch: pytest.MonkeyPatch, threads: int, pieces: int
) -> None:
    seen: list[int] = []
    real = photographs.train_part

    def counted(step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
        seen.append(count)
        return real(step, index, count)

    monkeypatch.setattr(photographs, "train_part", counted)
    feed = Feed(photographs, Accelerator(Compute("cpu")), ahead=1, threads=threads)
    for step in range(4):
        (x, targets), (alone, labels) = feed.batch(step, 0), photographs.train_batch(step)
        assert torch.equal(x, alone) and x.stride() == alone.stride()
        assert torch.equal(targets, labels)
    feed.close()
    assert max(seen) == pieces


def test_a_batch_that_has_no_parts_is_loaded_once(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SMALLEST_PIECE", 1)
    steps: list[int] = []

    class Whole(_WholeBatches):
        def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
            steps.append(step)
            return tiny_task.train_batch(step)

        def __init__(self) -> None:
            self.loss, self.calibration_batch = tiny_task.loss, tiny_task.calibration_batch

    lessons = TaughtLessons(Whole(), torch.nn.Identity(), 0.5, 4.0)  # type: ignore[arg-type]
    monkeypatch.setattr(lessons, "listen", lambda x: None)
    feed = Feed(lessons, Accelerator(Compute("cpu")), ahead=1, threads=4)
    for step in range(4):
        feed.batch(step, 0)
    feed.close()
    assert sorted(set(steps)) == sorted(steps)


def test_targets_may_be_asked_for_first(tiny_task: Task) -> None:
    for ahead in (0, 2):
        feed = Feed(tiny_task, Accelerator(Compute("cpu", accumulate=2)), ahead)
        targets = [feed.targets(3, number) for number in range(2)]
        for number in range(2):
            assert torch.equal(feed.batch(3, number)[1], targets[number])
        assert torch.equal(torch.cat(targets), tiny_task.train_batch(3)[1])
        feed.close()


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

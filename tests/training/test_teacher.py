from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import Cosine
from hwtickets.training.teacher import TaughtLessons


def test_the_loss_is_shared_between_labels_and_teacher(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    student, teacher = tiny_model(), tiny_model(1).eval()
    lessons = TaughtLessons(tiny_task, teacher, share=0.25, temperature=2.0)
    x, labels = lessons.train_batch(0)
    outputs = student(x)
    softened = functional.softmax(teacher(x) / 2, 1)
    divergence = (softened * (softened.log() - functional.log_softmax(outputs / 2, 1))).sum(1).mean()
    expected = 0.75 * tiny_task.loss(outputs, labels) + 0.25 * 4 * divergence
    torch.testing.assert_close(lessons.loss(outputs, labels), expected)


def test_nothing_is_to_be_learnt_from_ones_own_answers(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    model = tiny_model().eval()
    lessons = TaughtLessons(tiny_task, model, share=1.0, temperature=4.0)
    x, labels = lessons.train_batch(3)
    assert float(lessons.loss(model(x), labels).detach()) == pytest.approx(0, abs=1e-5)


def test_a_taught_network_answers_more_like_its_teacher_and_leaves_it_alone(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    student, teacher = tiny_model(), tiny_model(1)
    training = PlainTraining(Cosine(0.05, 25, 0), 0, 25, 5e-4, 0.9, 0, 3)
    train_plain(teacher, tiny_task, training, {}, None)
    x, _ = tiny_task.train_batch(0)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}

    def distance() -> float:
        with torch.no_grad():
            return float(tiny_task.imitation_loss(student.eval()(x), teacher.eval()(x), 4.0))

    first = distance()
    train_plain(student, TaughtLessons(tiny_task, teacher, 1.0, 4.0), training, {}, None)
    assert distance() < 0.8 * first
    for name, tensor in teacher.state_dict().items():
        torch.testing.assert_close(tensor, before[name])

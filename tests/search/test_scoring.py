from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from hwtickets.search.scoring import evidence_of
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.teacher import TaughtLessons


def test_what_is_scored_while_a_teacher_teaches_is_scored_on_the_data_alone(
    tiny_task: Task, tiny_model: Callable[..., Supernet]
) -> None:
    model, teacher = tiny_model(0).eval(), tiny_model(1)
    lessons = TaughtLessons(tiny_task, teacher, share=0.5, temperature=2.0)
    lessons.train_batch(7)
    loop: Any = SimpleNamespace(
        model=model, lessons=lessons, step=3, seed=0, accelerator=SimpleNamespace(parts=1)
    )
    evidence = evidence_of(loop)
    for step, (x, targets) in enumerate(evidence.batches(), 3):
        outputs = model(x)
        # The teacher's last answer is to other images.
        torch.testing.assert_close(evidence.loss(outputs, targets), tiny_task.loss(outputs, targets))
        torch.testing.assert_close(x, tiny_task.train_batch(step)[0])

"""Training a drawn ticket: on the data alone, or with the dense network as its teacher."""

from __future__ import annotations

from pathlib import Path

from hwtickets.config import SearchConfig
from hwtickets.search.job import Job
from hwtickets.search.tickets import CutNetwork
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks.task import Lessons, Task
from hwtickets.training.optimizer import LearningRate
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.teacher import TaughtLessons


def finetune(job: Job, network: CutNetwork, dense: Path, checkpoint: Path, stage: str) -> None:
    """Trains a drawn network in place for the steps that the search left, its zeros fixed.

    Args:
        job: The search.
        network: What was drawn.
        dense: Ticket folder of the run's dense network, the teacher where no other is asked for.
        checkpoint: Where to save on the way.
        stage: Name of the progress stage.
    """
    config, plan = job.config, job.plan
    if plan.total == plan.search:
        return
    training = PlainTraining(
        LearningRate(config.finetune_rate * config.learning_rate, plan.total, plan.search),
        plan.search,
        plan.total,
        config.weight_decay,
        config.ema_decay,
        config.seed,
    )
    lessons = lessons_of(config, job.task, dense)
    with job.progress.stage(stage, total=plan.total - plan.search, unit="step") as shown:
        train_plain(network.model, lessons, training, network.masks, checkpoint, shown.advance)


def lessons_of(config: SearchConfig, task: Task, dense: Path) -> Lessons:
    """What a ticket is trained on by the recipe of a configuration.

    Args:
        config: Names the recipe and perhaps the teacher.
        task: The task.
        dense: Ticket folder of the dense network.

    Raises:
        HwticketsError: The teacher is missing or damaged.
    """
    if config.recipe == "finetune":
        return task
    teacher = Ticket.load(Path(config.teacher) if config.teacher else dense).module()
    return TaughtLessons(task, teacher, config.distill_share, config.distill_temperature)

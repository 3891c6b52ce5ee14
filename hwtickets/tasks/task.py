"""What every task offers to the search; nothing outside this package knows more about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.tasks.settings import TaskSettings

SplitName = Literal["validation", "test"]


class Lessons(Protocol):
    """What training needs: batches, and how far an answer is from the right one."""

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of one training step; a pure function of the seed and the step."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training minimises, a scalar."""

    def calibration_batch(self, index: int) -> Tensor:
        """Training inputs as at deployment, for batch norm statistics; a pure function of seed and index."""


class Task(Lessons, Protocol):
    """Data, loss and metric.

    Attributes:
        name: What `--task` calls it.
        metric: Name of the score.
        metric_unit: Unit of the score.
        higher_is_better: Direction of the score.
        head: What the network ends in: "classification" (one vector an image) or "dense" (one a place).
        input_shape: (C, H, W) of one input.
        num_outputs: Width of the network's last layer.
        classes: Name of every class, in the order of the outputs.
        steps_per_epoch: Full batches in the training data.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    metric_unit: ClassVar[str]
    higher_is_better: ClassVar[bool]
    head: ClassVar[str]
    input_shape: tuple[int, int, int]
    num_outputs: int
    classes: list[str]
    steps_per_epoch: int

    @classmethod
    def build(cls, settings: TaskSettings) -> Task:
        """The task on its data; see `tasks.build_task`."""

    def validation_batches(self, batch_size: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets that choices are made on."""

    def test_batches(self, batch_size: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets for the last figure."""

    def imitation_loss(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """How far a network's outputs are from its teacher's, a scalar of the loss's size."""

    def score(self, model: nn.Module, split: SplitName) -> float:
        """The metric of a model on one split; leaves the model's modes as they were."""

    @staticmethod
    def score_outputs(outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """A score of outputs on sample images, in the metric's unit or one near to it; no data needed.

        Args:
            outputs: What a deployed network gave, shape (images, ...).
            targets: The targets of `validation_batches`, shape (images, ...).
        """

    @staticmethod
    def agreement(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
        """Share of the decisions that two networks' outputs agree in, in [0, 1]."""

    def preprocessing(self) -> dict[str, Any]:
        """How to make an input from an image, for the exported model's metadata."""


def suited_to(task: type[Task]) -> Mapping[str, Any]:
    """Keys of a configuration that a task suggests where else those of another task would be taken.

    It may say so in `suited`, and in `head_init` how the weights of a supernet's head begin.
    """
    suited: Mapping[str, Any] = getattr(task, "suited", {})
    return suited


@runtime_checkable
class DetailedTask(Protocol):
    """A task whose score is one of several figures that are found together; optional for a task."""

    def details(self, model: nn.Module, split: SplitName) -> dict[str, float]:
        """The figures by their names, in the metric's unit; the first one is the score."""


def score_on_test(task: Task, model: nn.Module) -> tuple[float | None, dict[str, float]]:
    """The metric on the test data, and all figures by name of a task that has several.

    None and no figures for a task of a user who gave no test data.
    """
    if not getattr(task, "has_test", True):
        return None, {}
    if not isinstance(task, DetailedTask):
        return task.score(model, "test"), {}
    figures = task.details(model, "test")
    return next(iter(figures.values())), figures

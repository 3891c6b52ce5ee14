"""A user's own task: loaders, a loss and a score, in the process that holds them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.structure import Structure
from hwtickets.tasks.assignment import Assignment
from hwtickets.tasks.batches import alike
from hwtickets.tasks.evaluation import LARGEST_BATCH, batch_size_for, evaluating
from hwtickets.tasks.logits import softened_divergence
from hwtickets.tasks.settings import TaskSettings
from hwtickets.tasks.sources import Source, length_of, source_of
from hwtickets.tasks.task import SplitName

KIND = "live"
#: Two outputs agree where they differ by less than this share of the spread of all outputs.
_AGREEING_SHARE = 0.01
#: Where both networks give the same number everywhere there is nothing to divide by.
_LEAST_VARIANCE = 1e-12
_TASKS: dict[str, Assignment] = {}


def register(assignment: Assignment, name: str | None = None) -> str:
    """Remembers a task for `Custom.build`.

    Args:
        assignment: The task, and what the network that is to solve it gives.
        name: What stands for its data in the configuration of a run that is there; None for a new one.

    Returns:
        The name: "live:HASH", the same for data of the same size.
    """
    name = name or _name_of(assignment)
    _TASKS.pop(name, None)
    _TASKS[name] = assignment
    return name


def _name_of(assignment: Assignment) -> str:
    task = assignment.task
    sizes = [length_of(split) or 0 for split in (task.train, task.validation)]
    facts = (task.metric, task.higher_is_better, assignment.width, sizes)
    return f"{KIND}:{hashlib.sha256(repr(facts).encode()).hexdigest()[:8]}"


class Custom:
    """A user's task, ready to be trained on.

    Args:
        assignment: What the user gave, and what the network gives.
        batch_size: Examples in a training batch, where the loader does not say.
        seed: Of every order.

    Raises:
        UsageError: A split is empty or yields something else than inputs and targets.
    """

    name: ClassVar = "custom"
    metric: ClassVar = "score"
    metric_unit: ClassVar = ""
    higher_is_better: ClassVar = True
    head: ClassVar = "classification"

    def __init__(self, assignment: Assignment, batch_size: int, seed: int) -> None:
        self._assignment, task = assignment, assignment.task
        # The class says what is so of most tasks, an instance what is so of this one.
        vars(self).update(
            metric=task.metric, metric_unit=task.metric_unit, higher_is_better=task.higher_is_better
        )
        self._splits: dict[str, Source] = {
            name: source_of(name, given, batch_size, seed)
            for name, given in (("train", task.train), ("validation", task.validation), ("test", task.test))
            if name != "test" or given is not None
        }
        self.has_test = "test" in self._splits
        firsts = {split: next(source.in_order(2)) for split, source in self._splits.items()}
        x, targets = firsts["train"]
        for split, (inputs, _) in firsts.items():
            _require_alike(split, tuple(inputs.shape), tuple(x.shape))
            _require_same_targets(split, self._splits[split].batches.targets, assignment.targets)
        one_each = all(held is None or held.alone for held in (assignment.outputs, assignment.targets))
        whole = one_each and not targets.is_floating_point()
        self._of_classes = whole and (assignment.width > 1 or self._of_two())
        # Of images (channels, height, width); of rows of features (rows, features).
        self.input_shape: tuple[int, int, int] = tuple(x.shape[1:])  # type: ignore[assignment]
        self.classes, self.num_outputs = list(task.classes), assignment.width
        self.steps_per_epoch = self._splits["train"].steps_per_epoch

    @classmethod
    def build(cls, settings: TaskSettings) -> Custom:
        """The task that was registered under `settings.data`.

        Raises:
            UsageError: This process has none of that name.
        """
        if settings.data not in _TASKS:
            raise UsageError(
                "task custom is a Python object that this process does not hold: give it where the work is"
                " asked for, e.g. hwtickets.search(space, task), hwtickets.draw(run, budgets, task=task),"
                ' hwtickets.retrain(ticket, task=task) or hwtickets.export(ticket, folder, precision="int8",'
                " task=task) in the script that makes it"
            )
        return cls(_TASKS[settings.data], settings.batch_size, settings.seed)

    def _of_two(self) -> bool:
        """Whether targets are 0 and 1 alone; other whole numbers of a single output are quantities."""
        _, targets = next(self._splits["train"].in_order(64))
        return bool(((targets == 0) | (targets == 1)).all())

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """One training batch."""
        return self._splits["train"].train(step)

    def calibration_batch(self, index: int) -> Tensor:
        """Training inputs, in an order of their own."""
        return self._splits["train"].calibration(index)

    def validation_batches(self, batch_size: int = LARGEST_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation examples in order."""
        return self._splits["validation"].in_order(batch_size)

    def test_batches(self, batch_size: int = LARGEST_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """The test examples in order; none where there is no test data."""
        return self._splits["test"].in_order(batch_size) if self.has_test else iter(())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The user's loss; see `Assignment.loss`."""
        return self._assignment.loss(outputs, targets)

    def imitation_loss(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Divergence of the softened classes where targets are class numbers, else mean squared error.

        A single output for targets of 0 and 1 is the logit of the one class against the other. Of several
        output tensors each counts the same, see `_share_missed`.
        """
        several = self._assignment.outputs
        if several is not None and not several.alone:
            return _share_missed(several, outputs, taught)
        if not self._of_classes:
            return nn.functional.mse_loss(outputs, taught)
        if self.num_outputs == 1:
            return softened_divergence(_of_both(outputs), _of_both(taught), temperature)
        return softened_divergence(outputs, taught, temperature)

    @torch.no_grad()
    def score(self, model: nn.Module, split: SplitName) -> float:
        """The user's score on one split, in evaluation mode.

        Raises:
            HwticketsError: It is not a number.
        """
        device, size = next(model.parameters()).device, batch_size_for(1, math.prod(self.input_shape[1:]))
        with evaluating(model):
            pairs = [
                (model(x.to(device)).float().cpu(), targets)
                for x, targets in self._splits[split].in_order(size)
            ]
        outputs, targets = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return self._assignment.score(outputs, targets, split)

    @staticmethod
    def score_outputs(outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """The score of the task that was registered last; not a number in a process that has none."""
        if not _TASKS:
            return math.nan
        last = list(_TASKS.values())[-1]
        return last.score(torch.from_numpy(outputs), torch.from_numpy(targets), "samples")

    @staticmethod
    def agreement(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
        """Share of the outputs that differ by less than a hundredth of the spread of all of them."""
        spread = float(expected.max() - expected.min())
        return float((np.abs(expected - actual) <= _AGREEING_SHARE * spread).mean())

    def preprocessing(self) -> dict[str, Any]:
        """The user's loaders know it; what is known here is the layout."""
        return {"layout": "as the training data gives it", "shape": list(self.input_shape)}


def _share_missed(structure: Structure, outputs: Tensor, taught: Tensor) -> Tensor:
    """Mean over the output tensors of error / (error + variance of the teacher's), in [0, 1].

    No tensor counts more for its unit, and one that is far off does not drown the others: the gradient of
    each is that of its mean squared error, divided by error and variance as they are.
    """
    missed = []
    for own, other in zip(structure.split(outputs), structure.split(taught), strict=True):
        error = nn.functional.mse_loss(own, other)
        scale = error.detach() + other.var(correction=0)
        missed.append(error / scale.clamp_min(_LEAST_VARIANCE))
    return torch.stack(missed).mean()


def _of_both(logits: Tensor) -> Tensor:
    """The logits of both classes of a single output, where the other one's is 0."""
    single = logits.unsqueeze(1) if logits.dim() == 1 else logits
    return torch.cat([torch.zeros_like(single), single], 1)


def _require_same_targets(split: str, given: Structure | None, train: Structure | None) -> None:
    if given != train:
        raise UsageError(
            f"task: the {split} data yields targets of {given or 'one tensor'}; expected those of the train"
            f" data, {train or 'one tensor'}"
        )


def _require_alike(split: str, given: tuple[int, ...], train: tuple[int, ...]) -> None:
    if not alike(given, train):
        raise UsageError(
            f"task: the {split} data yields inputs of shape {given}; expected ones like those of the train"
            f" data, {train}"
        )

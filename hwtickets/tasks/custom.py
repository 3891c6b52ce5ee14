"""A user's own task: loaders, a loss and a score, in the process that holds them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks.batches import alike
from hwtickets.tasks.evaluation import LARGEST_BATCH, batch_size_for, evaluating
from hwtickets.tasks.logits import softened_divergence
from hwtickets.tasks.settings import TaskSettings
from hwtickets.tasks.sources import Source, length_of, source_of
from hwtickets.tasks.task import SplitName

KIND = "live"
#: Two outputs agree where they differ by less than this share of the spread of all outputs.
_AGREEING_SHARE = 0.01
_TASKS: dict[str, tuple[UserTask, int]] = {}


@dataclass(frozen=True)
class UserTask:
    """What is to be solved, as its user has it.

    The good way to give a split is a data set that can be indexed (`__len__`, `__getitem__`): every batch is
    then a pure function of the seed and the step, and a run that was killed goes on as if it had not been.
    Any loader with a length that can be gone through again does as well; see `sources.LoaderSource` for what
    a resumed run then does not repeat.

    Attributes:
        train: Examples (input, target) that weights are learnt from, or a loader of batches of them.
        validation: What choices are made on.
        loss: `loss(outputs, targets) -> scalar tensor` to be minimised.
        score: `score(outputs, targets) -> number`, given all outputs of a split at once, on the CPU.
        test: Touched once, at the end; None: the report shows no test score.
        higher_is_better: Direction of the score.
        metric: Name of the score.
        metric_unit: Unit of the score.
        classes: Name of every class, if there are classes.
    """

    train: Any
    validation: Any
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Any]
    test: Any = None
    higher_is_better: bool = True
    metric: str = "score"
    metric_unit: str = ""
    classes: Sequence[str] = ()


def register(task: UserTask, outputs: int, name: str | None = None) -> str:
    """Remembers a task for `Custom.build`.

    Args:
        task: The task.
        outputs: Width of the last layer of the network that is to solve it.
        name: What stands for its data in the configuration of a run that is there; None for a new one.

    Returns:
        The name: "live:HASH", the same for data of the same size.
    """
    name = name or _name_of(task, outputs)
    _TASKS.pop(name, None)
    _TASKS[name] = task, outputs
    return name


def _name_of(task: UserTask, outputs: int) -> str:
    sizes = [length_of(split) or 0 for split in (task.train, task.validation)]
    facts = (task.metric, task.higher_is_better, outputs, sizes)
    return f"{KIND}:{hashlib.sha256(repr(facts).encode()).hexdigest()[:8]}"


class Custom:
    """A user's task, ready to be trained on.

    Args:
        task: What the user gave.
        outputs: Width of the network's last layer.
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

    def __init__(self, task: UserTask, outputs: int, batch_size: int, seed: int) -> None:
        self._task = task
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
        self._of_classes = not targets.is_floating_point() and (outputs > 1 or self._of_two())
        # Of images (channels, height, width); of rows of features (rows, features).
        self.input_shape: tuple[int, int, int] = tuple(x.shape[1:])  # type: ignore[assignment]
        self.classes, self.num_outputs = list(task.classes), outputs
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
        task, outputs = _TASKS[settings.data]
        return cls(task, outputs, settings.batch_size, settings.seed)

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
        """The user's loss.

        Raises:
            UsageError: It fails on these targets, is not one number, or no function of the outputs.
        """
        try:
            value = self._task.loss(outputs, targets)
        except (IndexError, TypeError, ValueError) as error:
            raise _failed("the loss", error, outputs, targets) from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise UsageError(
                f"task: the loss gave {_shown(value)}; expected one number, e.g. the mean over the batch"
            )
        if outputs.requires_grad and not value.requires_grad:
            raise UsageError(
                "task: the loss does not lead back to the outputs, so nothing can be learnt from it; compute"
                " it of them by torch alone, without detach(), item() or argmax()"
            )
        return value.reshape(())

    def imitation_loss(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Divergence of the softened classes where targets are class numbers, else mean squared error.

        A single output for targets of 0 and 1 is the logit of the one class against the other.
        """
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
        return _scored(self._task, outputs, targets, split)

    @staticmethod
    def score_outputs(outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """The score of the task that was registered last; not a number in a process that has none."""
        if not _TASKS:
            return math.nan
        task, _ = list(_TASKS.values())[-1]
        return _scored(task, torch.from_numpy(outputs), torch.from_numpy(targets), "samples")

    @staticmethod
    def agreement(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
        """Share of the outputs that differ by less than a hundredth of the spread of all of them."""
        spread = float(expected.max() - expected.min())
        return float((np.abs(expected - actual) <= _AGREEING_SHARE * spread).mean())

    def preprocessing(self) -> dict[str, Any]:
        """The user's loaders know it; what is known here is the layout."""
        return {"layout": "as the training data gives it", "shape": list(self.input_shape)}


def _of_both(logits: Tensor) -> Tensor:
    """The logits of both classes of a single output, where the other one's is 0."""
    single = logits.unsqueeze(1) if logits.dim() == 1 else logits
    return torch.cat([torch.zeros_like(single), single], 1)


def _require_alike(split: str, given: tuple[int, ...], train: tuple[int, ...]) -> None:
    if not alike(given, train):
        raise UsageError(
            f"task: the {split} data yields inputs of shape {given}; expected ones like those of the train"
            f" data, {train}"
        )


def _scored(task: UserTask, outputs: Tensor, targets: Tensor, where: str) -> float:
    try:
        value = task.score(outputs, targets)
    except Exception as error:  # Whatever the user's own score raises.
        raise _failed(f"the score on {where}", error, outputs, targets) from error
    return _as_number(value, where)


def _failed(what: str, error: Exception, outputs: Tensor, targets: Tensor) -> UsageError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UsageError(
        f"task: {what} failed ({reason}) on outputs of shape {tuple(outputs.shape)} and targets of shape"
        f" {tuple(targets.shape)} and type {str(targets.dtype).removeprefix('torch.')}"
    )


def _as_number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"task: the score on {where} is {_shown(value)}; expected one number") from error
    if not math.isfinite(number):
        raise HwticketsError(
            f"task: the score on {where} is {number}: outputs or targets that the score cannot judge, or"
            " training ran away (lower learning_rate)"
        )
    return number


def _shown(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)

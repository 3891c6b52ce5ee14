"""A user's own task with the network that solves it: loss and score see tensors as their author has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.structure import Structure
from hwtickets.tasks.sources import source_of


@dataclass(frozen=True)
class UserTask:
    """What is to be solved, as its user has it.

    The good way to give a split is a data set that can be indexed (`__len__`, `__getitem__`): every batch is
    then a pure function of the seed and the step, and a run that was killed goes on as if it had not been.
    Any loader with a length that can be gone through again does as well; see `sources.LoaderSource` for what
    a resumed run then does not repeat.

    Attributes:
        train: Examples (input, target) that weights are learnt from, or a loader of batches of them. A target
            is a tensor, or tensors in lists and dicts.
        validation: What choices are made on.
        loss: `loss(outputs, targets) -> scalar tensor` to be minimised. Outputs are as the network returns
            them, both lists where there are lists or tuples, and dicts where there are dicts.
        score: `score(outputs, targets) -> number`, given all outputs of a split at once, on the CPU.
        test: Touched once, at the end; None: the report shows no test score.
        higher_is_better: Direction of the score.
        metric: Name of the score.
        metric_unit: Unit of the score.
        classes: Name of every class, if there are classes.
    """

    train: Any
    validation: Any
    loss: Callable[[Any, Any], Tensor]
    score: Callable[[Any, Any], Any]
    test: Any = None
    higher_is_better: bool = True
    metric: str = "score"
    metric_unit: str = ""
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class Assignment:
    """A task and what the network that is to solve it gives.

    Everywhere else outputs and targets are one tensor each; see `Structure.joined`.

    Attributes:
        task: The task.
        width: Channels of the network's output.
        outputs: What the network returns; None where it is one tensor.
        targets: Of an example; None where they are one tensor.
    """

    task: UserTask
    width: int
    outputs: Structure | None = None
    targets: Structure | None = None

    @staticmethod
    def of(task: UserTask, width: int, outputs: Structure | None = None) -> Assignment:
        """The assignment; looks at the first training examples.

        Raises:
            UsageError: They are no inputs and targets.
        """
        return Assignment(task, width, outputs, source_of("train", task.train, 2, 0).batches.targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The user's loss.

        Raises:
            UsageError: It fails on these targets, is not one number, or no function of the outputs.
        """
        given = self._apart(outputs, targets)
        try:
            value = self.task.loss(*given)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise _failed("the loss", error, *given) from error
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

    def score(self, outputs: Tensor, targets: Tensor, where: str) -> float:
        """The user's score.

        Args:
            outputs: Of all examples of a split.
            targets: Theirs.
            where: Name of the split, for errors.

        Raises:
            UsageError: It fails on these targets, or is not one number.
            HwticketsError: It is not finite.
        """
        given = self._apart(outputs, targets)
        try:
            value = self.task.score(*given)
        except Exception as error:  # Whatever the user's own score raises.
            raise _failed(f"the score on {where}", error, *given) from error
        return _as_number(value, where)

    def _apart(self, outputs: Tensor, targets: Tensor) -> tuple[Any, Any]:
        return (
            outputs if self.outputs is None else self.outputs.apart(outputs),
            targets if self.targets is None else self.targets.apart(targets),
        )


def _failed(what: str, error: Exception, outputs: Any, targets: Any) -> UsageError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    kind = f" and type {str(targets.dtype).removeprefix('torch.')}" if isinstance(targets, Tensor) else ""
    return UsageError(
        f"task: {what} failed ({reason}) on outputs of {_shape(outputs)} and targets of"
        f" {_shape(targets)}{kind}"
    )


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)}"
    return f"shapes {Structure.of(value, 'task')}"


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

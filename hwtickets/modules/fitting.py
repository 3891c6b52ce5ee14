"""Whether a task can judge what a user's network gives."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.modules.not_finite import where_not_finite
from hwtickets.tasks.evaluation import evaluating
from hwtickets.tasks.task import Task


@torch.no_grad()
def check_fit(task: Task, model: nn.Module, name: str) -> None:
    """Tries the loss of a task on two training examples.

    Args:
        task: The task.
        model: A network of somebody else; left as it is.
        name: What to call it.

    Raises:
        UsageError: The network fails in training mode, or the loss cannot take its outputs or is no number;
            says what it is.
        HwticketsError: It returns something else in training mode.
    """
    x, targets = (part[:2] for part in task.train_batch(0))
    _check_training(model, x, name)
    with evaluating(model):
        outputs = model(x)
    given = f"{name} gives outputs of shape {tuple(outputs.shape)}"
    if task.head == "dense" and outputs.dim() != 4:
        raise UsageError(
            f"task {task.name} needs a map of each class (a dense head), (batch, classes, height, width);"
            f" {given}; choose a network that ends in maps, or another task"
        )
    try:
        loss = task.loss(outputs, targets)
    except HwticketsError:
        raise
    except Exception as error:  # Whatever the user's own loss raises.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"task {task.name}: its loss failed on two examples ({reason}); {given} for targets of shape"
            f" {tuple(targets.shape)} and type {str(targets.dtype).removeprefix('torch.')}"
        ) from error
    if not loss.isfinite():
        raise UsageError(
            f"task {task.name}: its loss on two examples is {loss.item()} ({_reason(model, x, outputs)});"
            f" {given}"
        )


def _check_training(model: nn.Module, x: Tensor, name: str) -> None:
    """Tries a copy in training mode, where some networks return more: said now, not after the table."""
    try:
        # Dropout draws: what is drawn later must not depend on this trial.
        with torch.random.fork_rng(devices=[]):
            copy.deepcopy(model).train()(x)
    except HwticketsError:
        raise
    except Exception as error:  # Whatever the user's own code raises.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{name} fails in training mode on two examples: {reason}") from error


def check_trainable(model: nn.Module) -> None:
    """Looks whether there is anything to train.

    Raises:
        UsageError: The whole network is frozen.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(
            "all weights of the network are frozen (requires_grad is False); call requires_grad_(True) on"
            " what a search may train"
        )


def _reason(model: nn.Module, x: Tensor, outputs: Tensor) -> str:
    if not x.isfinite().all():
        return "their inputs are not all finite"
    if outputs.isfinite().all():
        return "inputs and outputs are finite"
    with evaluating(model):
        return f"outputs are not finite {where_not_finite(model, x)}"

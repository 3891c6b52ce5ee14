"""The pruners of torch-pruning, used and tuned as its README says.

All rank globally and by isomorphic groups ("Global Pruning and Isomorphic Pruning" in the README), leave the
classifier alone, round to 8 as it does, and know the attention's heads. What they have no setting for is a
latency: `pruned` takes the share of the channels to keep.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from benchmarks.bisection import RefusedError
from benchmarks.peer_networks import Attention
from benchmarks.peer_training import train
from hwtickets import files
from hwtickets.config import SearchConfig
from hwtickets.search.scoring import SCORING_BATCHES
from hwtickets.search.two_in_one import StepPlan
from hwtickets.tasks.task import Task
from hwtickets.training.loop import Hook, TrainingLoop

#: Of its README. It rounds down, and a layer that would come to 0 stays whole: with more, small layers do.
ROUND_TO = 8


@dataclass(frozen=True)
class Subject:
    """A trained network that pruners are given.

    Attributes:
        body: The network; pruners copy it.
        task: Data and loss.
        config: How it is trained after pruning.
        alignment: Channels that the device computes at once.
        folder: For what a pruner keeps between its calls.
    """

    body: nn.Module
    task: Task
    config: SearchConfig
    alignment: int
    folder: Path

    @property
    def example(self) -> torch.Tensor:
        """One input."""
        return torch.zeros(1, *self.task.input_shape)

    @property
    def plan(self) -> StepPlan:
        """Steps after the dense training."""
        return StepPlan.of(self.config, self.task)


class Peer(Protocol):
    """A pruner of others.

    Attributes:
        spent_steps: Training steps that `prepare` takes, out of those that all methods have.
    """

    spent_steps: int

    def prepare(self) -> None:
        """What is done once for a trained network, whatever the budget; leaves files behind."""

    def pruned(self, kept: float) -> nn.Module:
        """A copy of the network of which about a share is kept, by what the pruner counts.

        Raises:
            RefusedError: There is no such network.
        """


class TorchPruning:
    """Channels are ranked by one of its importances.

    Args:
        subject: The trained network.
        importance: "magnitude" (L2 norms over a group) or "taylor" (first order, on training batches).
    """

    spent_steps = 0

    def __init__(self, subject: Subject, importance: str) -> None:
        self._subject, self._importance = subject, importance

    def prepare(self) -> None:
        """Nothing."""

    def pruned(self, kept: float) -> nn.Module:
        """A copy with about a share of the channels; see `Peer.pruned`."""
        body = copy.deepcopy(self._trained()).eval()
        pruner = self._pruner(body, 1 - kept)
        if self._importance == "taylor":
            self._gather_gradients(body)
        try:
            pruner.step()
            _set_heads(body, pruner)
            with torch.no_grad():
                body(self._subject.example)
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise RefusedError(f"torch-pruning at {kept:.3f}: {reason}") from error
        body.zero_grad(set_to_none=True)
        return body

    def _trained(self) -> nn.Module:
        return self._subject.body

    def _gather_gradients(self, body: nn.Module) -> None:
        for step in range(SCORING_BATCHES):
            images, labels = self._subject.task.train_batch(step)
            self._subject.task.loss(body(images), labels).backward()

    def _pruner(self, body: nn.Module, removed: float) -> Any:
        import torch_pruning as tp

        taylor = self._importance == "taylor"
        importance = (
            tp.importance.GroupTaylorImportance() if taylor else tp.importance.GroupMagnitudeImportance()
        )
        return tp.pruner.BasePruner(
            body, self._subject.example, importance, pruning_ratio=removed, **self._settings(body)
        )

    def _settings(self, body: nn.Module) -> dict[str, Any]:
        # Dictionaries of our own: its default arguments are shared by all pruners, and it writes into them.
        return {
            "global_pruning": True,
            "isomorphic": True,
            "round_to": ROUND_TO,
            "ignored_layers": [body.get_submodule("head")],
            "num_heads": {part.qkv: part.num_heads for part in _attentions(body)},
            "in_channel_groups": {},
            "out_channel_groups": {},
        }


class SparseTraining(TorchPruning):
    """Training first, with its regulariser of whole groups; then channels of small norms go.

    Source: Fang et al., DepGraph (CVPR 2023), section 3.3. It spends as many of the steps that all methods
    have as the search of two-in-one does.

    Args:
        subject: The trained network.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject, "magnitude")
        self.spent_steps = subject.plan.search
        self._file = subject.folder / "sparse.safetensors"

    def prepare(self) -> None:
        """Trains and keeps the weights."""
        import torch_pruning as tp

        subject, body = self._subject, copy.deepcopy(self._subject.body)
        pruner = tp.pruner.GroupNormPruner(
            body, subject.example, tp.importance.GroupMagnitudeImportance(), **self._settings(body)
        )
        train(body, subject.task, subject.config, 0, subject.plan.search, hooks=[_Regularise(pruner, body)])
        files.write_tensors(
            self._file, {name: tensor.contiguous() for name, tensor in body.state_dict().items()}, None
        )

    def _trained(self) -> nn.Module:
        body = copy.deepcopy(self._subject.body)
        body.load_state_dict(files.read_tensors(self._file, "weights after sparse training")[0])
        return body


class _Regularise(Hook):
    """Adds the gradients of torch-pruning's regulariser."""

    name = "regularise"

    def __init__(self, pruner: Any, body: nn.Module) -> None:
        self._pruner, self._body = pruner, body

    def after_backward(self, loop: TrainingLoop) -> None:
        """Called between the backward pass and the step, as its README asks for."""
        if loop.step % loop.interval == 0:
            self._pruner.update_regularizer()
        self._pruner.regularize(self._body)


def missing_torch_pruning() -> str:
    """Why it cannot be compared with here; empty if it can."""
    return "" if find_spec("torch_pruning") else "torch-pruning is not installed"


def _attentions(body: nn.Module) -> list[Attention]:
    return [part for part in body.modules() if isinstance(part, Attention)]


def _set_heads(body: nn.Module, pruner: Any) -> None:
    """Sizes that the host keeps beside its weights; torch-pruning leaves them to its user."""
    for part in _attentions(body):
        part.num_heads = pruner.num_heads[part.qkv]
        part.head_dim = part.qkv.out_features // (3 * part.num_heads)

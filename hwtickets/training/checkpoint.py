"""Checkpoints of a training loop: one safetensors file, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from hwtickets import files
from hwtickets.errors import HwticketsError
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import optimizer_tensors, restore_optimizer


class Checkpointer(Hook):
    """Saves the loop at every interval; must be the last hook.

    Args:
        path: The checkpoint file.
        extra: More facts to keep, asked for at every save.
    """

    name = "checkpointer"

    def __init__(self, path: Path, extra: Callable[[], dict[str, Any]] = dict) -> None:
        self.path, self._extra = path, extra

    def on_interval(self, loop: TrainingLoop) -> None:
        """Saves; weights that cannot be gone on with are an error and leave the last checkpoint.

        Raises:
            HwticketsError: A weight is not finite, or the file cannot be written.
        """
        if not all(bool(weight.isfinite().all()) for weight in loop.model.parameters()):
            raise HwticketsError(
                f"training: weights are not finite at step {loop.step};"
                f" lower learning_rate (now {loop.rate:.3g})"
            )
        save_checkpoint(self.path, loop, self._extra())


def save_checkpoint(path: Path, loop: TrainingLoop, extra: dict[str, Any]) -> None:
    """Writes weights, the optimizer's and every hook's state, the scale of fp16 and the step number."""
    tensors: dict[str, Tensor] = {f"model/{name}": tensor for name, tensor in loop.model.state_dict().items()}
    tensors |= {
        f"optimizer/{name}": tensor for name, tensor in optimizer_tensors(loop.model, loop.optimizer).items()
    }
    for hook in loop.hooks:
        tensors |= {f"{hook.name}/{name}": tensor for name, tensor in hook.tensors().items()}
    facts = {
        "step": loop.step,
        "hooks": {hook.name: hook.facts() for hook in loop.hooks},
        "precision": loop.accelerator.state(),
        "extra": extra,
    }
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    files.write_tensors(path, contiguous, {"facts": json.dumps(facts)})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint.

    Raises:
        HwticketsError: Missing or corrupted; names the file.
    """
    tensors, metadata = files.read_tensors(path, "checkpoint")
    try:
        return tensors, json.loads(metadata["facts"])
    except (KeyError, ValueError) as error:
        raise HwticketsError(
            f"{path}: not a checkpoint of hwtickets; start again in another folder"
        ) from error


def section(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors saved under one name: "model", "optimizer" or a hook's."""
    return {
        name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + "/")
    }


def restore_loop(loop: TrainingLoop, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Takes a loop, whose network has the saved shapes already, back to the saved step."""
    device = loop.accelerator.device
    loop.model.load_state_dict(section(tensors, "model"))
    restore_optimizer(loop.model, loop.optimizer, section(tensors, "optimizer"))
    for hook in loop.hooks:
        own = {name: tensor.to(device) for name, tensor in section(tensors, hook.name).items()}
        hook.restore(own, facts["hooks"].get(hook.name, {}))
    loop.accelerator.restore(facts["precision"])
    loop.step = facts["step"]

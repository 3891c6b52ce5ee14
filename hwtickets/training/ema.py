"""An exponential moving average of the weights and batch-norm statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwtickets.training.loop import Hook, TrainingLoop


class EMA(Hook):
    """Averages weights and running statistics after every step.

    The decay warms up as (1 + n) / (10 + n), so that short runs are not held back by their start.

    Args:
        decay: Weight of the past, in [0, 1).

    Attributes:
        shadow: The average by state-dict name; cut along when channels are removed.
    """

    name = "ema"

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.shadow: dict[str, Tensor] = {}
        self._updates = 0

    def after_step(self, loop: TrainingLoop) -> None:
        """Moves the average towards the new weights."""
        self._updates += 1
        decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
        present = loop.model.state_dict()
        moving = {
            name: value
            for name, value in present.items()
            if name in self.shadow and value.is_floating_point()
        }
        self.shadow |= {name: value.clone() for name, value in present.items() if name not in moving}
        if moving:
            # All at once: a GPU would else wait for the launch of every single one.
            with torch.no_grad():
                torch._foreach_lerp_([self.shadow[name] for name in moving], [*moving.values()], 1 - decay)

    def copy_to(self, model: nn.Module) -> None:
        """Writes the average into a network of the same shapes."""
        if self.shadow:
            model.load_state_dict(self.shadow)

    def tensors(self) -> dict[str, Tensor]:
        """The average."""
        return self.shadow

    def facts(self) -> dict[str, int]:
        """How many updates it has seen."""
        return {"updates": self._updates}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, int]) -> None:
        """Goes on from a saved average."""
        self.shadow = dict(tensors)
        self._updates = facts["updates"]

"""Progressive pruning of single weights, with iterative reactivation as a switch of its own."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hwtickets.sparsity.mask import Masks, apply_masks, magnitude_masks
from hwtickets.training.loop import Hook, TrainingLoop


class ProgressiveMasks(Hook):
    """Raises the sparsity event by event.

    At an event the smallest weights of the whole network are set to zero. With reactivation "after-prune"
    they are free again until the next event and start again from zero; with "none" they stay zero. After the
    last event they always stay zero. Shrinking cuts masks along and never resets them. Source: SuperTickets
    (ECCV 2022), progressive pruning and iterative reactivation (3.3); the published code resets masks as a
    side effect of shrinking and never sets pruned weights to zero.

    Args:
        sparsities: Share of weights removed at each event, ascending.
        reactivation: "after-prune" or "none".
        layer_floor: Share of its weights that every layer keeps at least.

    Attributes:
        masks: Masks in force by weight name; cut along when channels are removed.
    """

    name = "masks"
    event = "prune"

    def __init__(self, sparsities: list[float], reactivation: str, layer_floor: float) -> None:
        self.masks: Masks = {}
        self._sparsities, self._reactivation, self._layer_floor = sparsities, reactivation, layer_floor
        self._done = 0

    def after_step(self, loop: TrainingLoop) -> None:
        """Keeps the weights under the masks in force at zero."""
        if self.masks:
            apply_masks(loop.model, self.masks)

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        """Prunes to the next sparsity."""
        if event != self.event or self._done == len(self._sparsities):
            return
        masks = magnitude_masks(loop.model, self._sparsities[self._done], self._layer_floor)
        self._done += 1
        apply_masks(loop.model, masks)
        last = self._done == len(self._sparsities)
        if last or self._reactivation == "none":
            self.masks.clear()
            self.masks.update(masks)

    def tensors(self) -> dict[str, Tensor]:
        """The masks in force."""
        return self.masks

    def facts(self) -> dict[str, Any]:
        """How many events there were."""
        return {"done": self._done}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Goes on from saved masks."""
        self.masks.clear()
        self.masks.update({name: tensor.bool() for name, tensor in tensors.items()})
        self._done = facts["done"]

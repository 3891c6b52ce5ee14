"""Masks that are found after the draw: at once, while the drawn network is trained, or by chance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hwtickets.config import SearchConfig
from hwtickets.search.masking import ProgressiveMasks, prune_events, pruner_of
from hwtickets.search.scoring import EVENT_BATCHES, batches_of
from hwtickets.sparsity.mask import Masks
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Lessons
from hwtickets.training.loop import Hook, TrainingLoop, Trigger


class GrowingMasks:
    """Progressive pruning as a part of plain training.

    Args:
        config: Sparsity, schedule, pattern and reactivation.
        first: Number of the first step of the training.
        steps: Its steps, or as many of them as a search would have: `prune_from` and `prune_to` are shares of
            these.

    Attributes:
        masks: The masks in force, always the same dictionary.
        hooks: To be called by the loop.
        triggers: Events of these hooks.
    """

    def __init__(self, config: SearchConfig, first: int, steps: int) -> None:
        events = prune_events(config, steps)
        progressive = ProgressiveMasks(list(events.values()), config.reactivation, pruner_of(config))
        self.masks: Masks = {}
        self.hooks: list[Hook] = [progressive, _Mirror(progressive, self.masks)]
        at = {first + step for step in events}
        self.triggers: dict[str, Trigger] = {ProgressiveMasks.event: at.__contains__}


class _Mirror(Hook):
    """Keeps a dictionary equal to the masks in force; must come after them."""

    name = "mirror"

    def __init__(self, progressive: ProgressiveMasks, masks: Masks) -> None:
        self._progressive, self._masks = progressive, masks

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        self._copy()

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self._copy()

    def _copy(self) -> None:
        self._masks.clear()
        self._masks.update(self._progressive.masks)


def masks_at_once(model: Supernet, lessons: Lessons, config: SearchConfig) -> Masks:
    """Masks of the configured sparsity on a trained network, in one go."""
    # In one step there is one event, the last one of the schedule.
    (sparsity,) = prune_events(config, 1).values()
    batches = batches_of(lessons, range(EVENT_BATCHES), 1)
    return pruner_of(config).masks(Evidence(model, batches, lessons.loss, config.seed), sparsity)


def shuffled(model: nn.Module, masks: Masks, pattern: str, seed: int) -> Masks:
    """Masks that keep as much of every layer, in the same pattern, but by chance.

    Source: Su et al., Sanity-Checking Pruning Methods: Random Tickets can Win the Jackpot (2020), section 3:
    layerwise rearrange.

    Args:
        model: The network.
        masks: Its masks.
        pattern: Name of their pattern.
        seed: Of the chance.
    """
    granularity = build_granularity(pattern)
    generator = torch.Generator().manual_seed(seed % 2**63)
    mixed: Masks = {}
    for name in granularity.layers(model):
        if name not in masks:
            continue
        mask = masks[name]
        # Half a weight more, so that rounding does not take one less.
        removed = (int((~mask).sum()) + 0.5 * bool((~mask).any())) / mask.numel()
        scores = torch.rand(mask.shape, generator=generator).to(mask.device)
        mixed |= granularity.select({name: scores}, removed, "layer", 0.0)
    return {name: mixed.get(name, mask) for name, mask in masks.items()}

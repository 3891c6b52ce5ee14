"""Progressive pruning of single weights, with iterative reactivation as a switch of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hwtickets.config import SearchConfig
from hwtickets.config_files import checked_config
from hwtickets.costs.credit import PRICED, credits_latency
from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import UsageError
from hwtickets.pipelines import PIPELINES
from hwtickets.progress import Progress
from hwtickets.search.schedules import even_shares, prune_sparsities
from hwtickets.search.scoring import evidence_of
from hwtickets.sparsity.mask import Masks, apply_masks, empty_filters, sparsity_of
from hwtickets.sparsity.names import AUTO
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.sparsity.patterns.automatic import pattern_for
from hwtickets.sparsity.pruner import Pruner
from hwtickets.supernets.base import Supernet
from hwtickets.training.loop import Hook, TrainingLoop


class ProgressiveMasks(Hook):
    """Raises the sparsity event by event.

    At an event the least important weights are set to zero. When they may come back is the reactivation:

    - "none": never; every mask lies within the one before.
    - "at-shrink": when the supernet is cut the next time; what the published code does as a side effect.
    - "after-prune": at once, until the next event; the paper's iterative reactivation.

    A reactivated weight starts again from zero (in the published code: from its old value, since that never
    sets weights to zero), and a filter that lost all its weights gets none back. After the last event no
    weight comes back. A cut takes masks along and mends the pattern. Source: SuperTickets (ECCV 2022),
    progressive pruning and iterative reactivation (3.3).

    Args:
        sparsities: Share of weights removed at each event, ascending.
        reactivation: "none", "at-shrink" or "after-prune".
        pruner: Chooses the masks.

    Attributes:
        masks: Masks in force by weight name; cut along when channels are removed.
    """

    name = "masks"
    event = "prune"

    def __init__(self, sparsities: Sequence[float], reactivation: str, pruner: Pruner) -> None:
        self.masks: Masks = {}
        self._sparsities, self._reactivation, self._pruner = list(sparsities), reactivation, pruner
        self._done = 0

    def after_step(self, loop: TrainingLoop) -> None:
        """Keeps the weights under the masks in force at zero."""
        if self.masks:
            apply_masks(loop.model, self.masks)

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        """Prunes to the next sparsity."""
        if event != self.event or self._finished:
            return
        masks = self._pruner.masks(evidence_of(loop), self._sparsities[self._done], self.masks)
        self._done += 1
        apply_masks(loop.model, masks)
        reopened = self._reactivation == "after-prune" and not self._finished
        self.masks = empty_filters(masks) if reopened else masks

    def after_cut(self, model: Supernet) -> None:
        """Mends or reopens the masks after channels were removed from network and masks."""
        if self._reactivation == "at-shrink" and not self._finished:
            self.masks = empty_filters(self.masks)
            return
        self.masks = self._pruner.granularity.repaired(model, self.masks)
        apply_masks(model, self.masks)

    def of_ticket(self, loop: TrainingLoop) -> Masks:
        """Masks of a ticket that is drawn now: at the last sparsity, whatever is in force until then."""
        if self._finished:
            return dict(self.masks)
        return self._pruner.masks(evidence_of(loop), self._sparsities[-1], self.masks)

    @property
    def _finished(self) -> bool:
        return self._done == len(self._sparsities)

    def tensors(self) -> dict[str, Tensor]:
        """The masks in force."""
        return self.masks

    def facts(self) -> dict[str, Any]:
        """How many events there were."""
        return {"done": self._done}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Goes on from saved masks."""
        self.masks = {name: tensor.bool() for name, tensor in tensors.items()}
        self._done = facts["done"]


def with_pattern(config: SearchConfig, device: DeviceProfile, progress: Progress) -> SearchConfig:
    """The configuration with the pattern that the device runs faster in the place of `auto`.

    Args:
        config: What is asked for. Without `sparsity`, and on a device that runs no masks faster, nothing is
            masked; a pattern with a share of its own replaces the sparsity.
        device: The device.
        progress: Told what was chosen.

    Raises:
        UsageError: The pipeline needs masks and there are none, or the pattern does not go with other keys.
    """
    if config.mask_pattern != AUTO:
        return config
    granularity = build_granularity(pattern_for(device) if config.sparsity else PRICED)
    updates: dict[str, Any] = {"mask_pattern": granularity.name}
    if granularity.name != PRICED:
        updates["sparsity"] = granularity.share or config.sparsity
    elif PIPELINES[config.pipeline].needs_masks:
        raise UsageError(
            f"pipeline {config.pipeline} is about masks, and {device.name} runs no pattern of them faster;"
            " name one all the same, e.g. mask_pattern: unstructured in the file of --config"
        )
    else:
        updates |= {"sparsity": 0.0, "prune_schedule": "one-shot"}
    if config.sparsity:
        masked = f"sparsity {updates['sparsity']:.3g}" if updates["sparsity"] else "nothing is masked"
        progress.note(f"mask_pattern auto: {granularity.name} on {device.name}, {masked}")
    return checked_config({**config.model_dump(mode="json"), **updates})


def pruner_of(config: SearchConfig) -> Pruner:
    """What a configuration chooses masks by.

    Raises:
        UsageError: A name is unknown.
    """
    return Pruner.of(config.mask_pattern, config.mask_importance, config.mask_scope, config.layer_floor)


def prune_events(config: SearchConfig, steps: int) -> dict[int, float]:
    """Sparsities by the number of finished steps; of events that fall on one step, the last one stays.

    A pattern with a share of its own has that share at every event.

    Args:
        config: The configuration; without `sparsity` there are no events.
        steps: Steps of the search.

    Raises:
        UsageError: The schedule is unknown or does not end at the sparsity.
    """
    sparsities = prune_sparsities(config.prune_schedule, config.sparsity)
    shares = even_shares(config.prune_from, config.prune_to, len(sparsities))
    own = build_granularity(config.mask_pattern).share
    at = [max(1, round(share * steps)) for share in shares]
    return {step: own or sparsity for step, sparsity in zip(at, sparsities, strict=True)}


def mask_record(config: SearchConfig, device: DeviceProfile, model: Supernet) -> dict[str, Any]:
    """What a ticket remembers of its masks; empty where it has none.

    Args:
        config: Says how they were chosen.
        device: The device that the ticket was drawn for.
        model: The masked network.

    Returns:
        `pattern`, `zeros` (share of the convolutions' weights), `dense` (how many layers cannot take the
        pattern, by reason), `latency_credited` (whether the device runs the pattern faster).
    """
    if not config.sparsity:
        return {}
    reasons = build_granularity(config.mask_pattern).excluded(model).values()
    return {
        "pattern": config.mask_pattern,
        "zeros": sparsity_of(model),
        "dense": dict(Counter(reasons)),
        "latency_credited": credits_latency(config.mask_pattern, device),
    }

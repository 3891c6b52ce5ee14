"""The pruner: pattern, importance, scope and floor together choose what is masked."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hwtickets.errors import unknown
from hwtickets.sparsity.granularity import Granularity, without
from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.sparsity.selection import Scope
from hwtickets.sparsity.synflow import SynFlow
from hwtickets.sparsity.weight_importance import (
    Evidence,
    Grasp,
    Magnitude,
    RandomScores,
    Snip,
    WeightImportance,
    checked,
)

WEIGHT_IMPORTANCES: dict[str, type[WeightImportance]] = {
    importance.name: importance for importance in (Magnitude, RandomScores, Snip, Grasp, SynFlow)
}


@dataclass(frozen=True)
class Pruner:
    """Chooses masks.

    Attributes:
        granularity: The pattern.
        importance: How weights are scored.
        scope: One threshold for all layers, or the same share of every layer.
        layer_floor: Share of its weights that every layer keeps at least.
    """

    granularity: Granularity
    importance: WeightImportance
    scope: Scope = "global"
    layer_floor: float = 0.0

    @staticmethod
    def of(pattern: str, importance: str, scope: Scope, layer_floor: float) -> Pruner:
        """A pruner from the names of its parts.

        Raises:
            UsageError: A name is unknown.
        """
        return Pruner(build_granularity(pattern), build_weight_importance(importance), scope, layer_floor)

    def masks(self, evidence: Evidence, sparsity: float, before: Masks | None = None) -> Masks:
        """Masks at a sparsity; the network stays as it is.

        Args:
            evidence: The network, and data to score its weights on.
            sparsity: Share of the weights of all layers that take the pattern, in [0, 1).
            before: Masks in force: what they removed stays removed.

        Raises:
            UsageError: The pattern cannot have this sparsity, or no layer can take it.
            HwticketsError: The scores are not finite.
        """
        # A pattern with a share of its own has no way there that could be gone in steps.
        rounds = 1 if self.granularity.share is not None else self.importance.rounds
        if rounds > 1:
            evidence = replace(evidence, model=copy.deepcopy(evidence.model))
        masks = dict(before or {})
        for share in _shares(sparsity, rounds):
            if rounds > 1:
                apply_masks(evidence.model, masks)
            scores = without(checked(self.importance.score(evidence), self.importance), masks)
            masks = self.granularity.masks(evidence.model, scores, share, self.scope, self.layer_floor)
        return masks


def build_weight_importance(name: str) -> WeightImportance:
    """An importance of weights by name; an unknown one is a usage error."""
    if name not in WEIGHT_IMPORTANCES:
        raise unknown("mask importance", name, WEIGHT_IMPORTANCES)
    return WEIGHT_IMPORTANCES[name]()


def _shares(sparsity: float, rounds: int) -> Iterator[float]:
    for number in range(1, rounds):
        yield 1 - (1 - sparsity) ** (number / rounds)
    yield sparsity

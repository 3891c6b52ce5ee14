"""Granularity: the pattern in which weights are removed, whatever the scores that choose them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.sparsity.mask import Masks, magnitudes, maskable_layers
from hwtickets.sparsity.selection import Scope, keep_best


class Granularity(ABC):
    """A pattern of removed weights.

    A pattern says which parts of a layer are kept or removed as one, and which layers can take it. Single
    weights stand for themselves; a new pattern overrides `parts` and `whole`, or `select`.

    Attributes:
        name: What the configuration calls it, e.g. "2:4".
        share: Share of a layer's weights that the pattern itself removes; None where any can be asked for.
    """

    name: str
    share: float | None = None

    @abstractmethod
    def obstacle(self, layer: nn.Conv2d) -> str | None:
        """Why a convolution cannot take the pattern and stays dense; None if it can."""

    def parts(self, scores: Tensor) -> Tensor:
        """Scores of a layer's parts from those of its weights (C_out, C_in / groups, kH, kW)."""
        return scores

    def whole(self, kept: Tensor) -> Tensor:
        """The mask of a layer's weights from that of its parts."""
        return kept

    def layers(self, model: nn.Module) -> list[str]:
        """State-dict names of the weights that take the pattern."""
        return [name for name, layer in maskable_layers(model).items() if self.obstacle(layer) is None]

    def excluded(self, model: nn.Module) -> dict[str, str]:
        """Why a convolution stays dense, by the state-dict name of its weights."""
        reasons = {name: self.obstacle(layer) for name, layer in maskable_layers(model).items()}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def masks(
        self,
        model: nn.Module,
        scores: Mapping[str, Tensor],
        sparsity: float,
        scope: Scope = "global",
        layer_floor: float = 0.0,
    ) -> Masks:
        """Masks of all layers that take the pattern.

        Args:
            model: The network; says which layers there are.
            scores: Scores of its maskable weights by state-dict name; higher is better, -inf is never kept
                unless a floor or the pattern needs it.
            sparsity: Share of the weights of these layers that is removed, in [0, 1).
            scope: One threshold for all layers, or the same share of every layer.
            layer_floor: Share of its weights that every layer keeps at least.

        Returns:
            Boolean masks by state-dict name, True where a weight is kept.

        Raises:
            UsageError: The pattern removes another share than is asked for, or no layer can take it.
        """
        self.check(sparsity, layer_floor)
        names = self.layers(model)
        if not names:
            excluded = self.excluded(model)
            if not excluded:
                raise UsageError(
                    f"pattern {self.name} masks weights of convolutions over images (nn.Conv2d), and the"
                    " network has none besides its outputs; leave the pattern out, channels can still go"
                )
            layer, reason = next(iter(excluded.items()))
            raise UsageError(f"pattern {self.name} fits no convolution here, e.g. {layer}: {reason}")
        return self.select({name: scores[name] for name in names}, sparsity, scope, layer_floor)

    def check(self, sparsity: float, layer_floor: float) -> None:
        """Checks that a sparsity can be had in this pattern.

        Raises:
            UsageError: It cannot; the text names the one that can.
        """
        if self.share is None:
            return
        if not math.isclose(sparsity, self.share):
            raise UsageError(
                f"pattern {self.name} removes {self.share:.4g} of the weights, not {sparsity:.4g};"
                f" set sparsity to {self.share:.4g}"
            )
        if layer_floor > 1 - self.share:
            raise UsageError(
                f"pattern {self.name} leaves {1 - self.share:.4g} of a layer, less than layer_floor"
                f" {layer_floor:.4g}; lower it"
            )

    def select(
        self, scores: Mapping[str, Tensor], sparsity: float, scope: Scope, layer_floor: float
    ) -> Masks:
        """Masks from the scores of layers that take the pattern; arguments as of `masks`."""
        parts = {name: self.parts(score) for name, score in scores.items()}
        return {
            name: self.whole(kept) for name, kept in keep_best(parts, sparsity, scope, layer_floor).items()
        }

    def repaired(self, model: nn.Module, masks: Masks) -> Masks:
        """Masks that were cut along with channels, in the pattern again.

        Channels that leave tear blocks and groups apart. Every layer keeps the share that it has; what is
        kept is chosen by the magnitude of the weights that are left. A layer that is too narrow for the
        pattern now is left dense.

        Args:
            model: The network after the cut.
            masks: Its masks, cut along; none where nothing is masked.
        """
        if not masks:
            return masks
        left = without(magnitudes(model), masks)
        removed = {name: 1 - float(mask.float().mean()) for name, mask in masks.items()}
        return {
            name: self.select({name: left[name]}, removed.get(name, 0.0), "layer", 0.0)[name]
            for name in self.layers(model)
        }


def without(scores: Mapping[str, Tensor], masks: Masks) -> dict[str, Tensor]:
    """The scores with those of removed weights -inf: what is removed does not come back by its score."""
    return {
        name: score.masked_fill(~masks[name].to(score.device), -math.inf) if name in masks else score
        for name, score in scores.items()
    }

"""The precisions that a draw chose, written into the exported network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hwtickets.deploy.columns import MixableNetwork
from hwtickets.deploy.evidence import Evidence
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import QuantizationRecipe, Quantizer


class AsDrawn:
    """Every part in the precision that was drawn for it; see `hwtickets.sparsity.mixed_space`.

    Args:
        chosen: Precision by part.
        recipe: What the runtime wants of int8.
        evidence: Gives the images that it is calibrated and scored on.
        blocks: Names of the searching blocks.
        scored: Whether to say what the precisions cost in score.
    """

    name = "mixed"

    def __init__(
        self,
        chosen: Mapping[str, str],
        recipe: QuantizationRecipe,
        evidence: Evidence,
        blocks: Collection[str],
        scored: bool = True,
    ) -> None:
        self._chosen, self._recipe, self._evidence = dict(chosen), recipe, evidence
        self._blocks, self._scored = list(blocks), scored

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network with the conversions between its parts."""
        network = mixable(model, self._blocks, self._chosen, self._recipe, self._evidence)
        mixed = network.mixed({part: self._chosen[part] for part in network.parts.nodes})
        facts: dict[str, Any] = {
            "recipe": self._recipe.name,
            "calibration_images": len(self._evidence.calibration),
            "parts": {part: {"precision": precision} for part, precision in self._chosen.items()},
        }
        if not self._scored:
            return mixed, facts
        return mixed, {
            **facts,
            "validation_images": len(self._evidence.images),
            "score_fp32": self._evidence.score(model),
            "score": self._evidence.score(mixed),
        }


def mixable(
    model: bytes,
    blocks: Collection[str],
    parts: Collection[str],
    recipe: QuantizationRecipe,
    evidence: Evidence,
) -> MixableNetwork:
    """A serialized fp32 network that can be had in any mix, in the parts that a space knows."""
    quantizer = Quantizer(model, recipe, evidence.calibration)
    return MixableNetwork(model, parts_of(model, blocks).merged_into(parts), quantizer, list(blocks))

"""Draw points: trained networks with their scores, to draw tickets from without training again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from hwtickets import files
from hwtickets.errors import HwticketsError
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.mask import Masks
from hwtickets.training.checkpoint import section


@dataclass(frozen=True)
class DrawPoint:
    """A network that tickets are drawn from.

    Attributes:
        index: 1 is before the first shrink; the last one is the end of the search.
        step: Steps it was trained for.
        weights: Averaged weights (EMA) by state-dict name.
        masks: Masks of a ticket that is drawn from it, at the last sparsity of the search.
        scores: Importance of its channels by unit.
        widths: Its channels by unit; 0 where a branch is gone.
        costs: Its predicted cost by metric when it was kept.
        origins: Which channel of the supernet each of its channels was, by unit.
    """

    index: int
    step: int
    weights: dict[str, Tensor]
    masks: Masks
    scores: Scores
    widths: dict[str, int]
    costs: dict[str, float]
    origins: dict[str, Tensor] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Writes `point-NN.safetensors`, replaced as a whole."""
        tensors = {f"weights/{name}": tensor for name, tensor in self.weights.items()}
        tensors |= {f"masks/{name}": tensor for name, tensor in self.masks.items()}
        tensors |= {f"scores/{name}": tensor for name, tensor in self.scores.items()}
        tensors |= {f"origins/{name}": tensor for name, tensor in self.origins.items()}
        facts = {"index": self.index, "step": self.step, "widths": self.widths, "costs": self.costs}
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        files.write_tensors(
            folder / f"point-{self.index:02d}.safetensors", contiguous, {"facts": json.dumps(facts)}
        )


def load_point(path: Path) -> DrawPoint:
    """Reads a draw point; a damaged one is an error that names the file."""
    tensors, metadata = files.read_tensors(path, "draw point")
    try:
        facts: dict[str, Any] = json.loads(metadata["facts"])
        masks = {name: mask.bool() for name, mask in section(tensors, "masks").items()}
        parts = section(tensors, "weights"), masks, section(tensors, "scores")
        origins = section(tensors, "origins")
        return DrawPoint(facts["index"], facts["step"], *parts, facts["widths"], facts["costs"], origins)
    except (KeyError, ValueError, TypeError) as error:
        raise HwticketsError(f"{path}: not a draw point of hwtickets; search again") from error


def points_in(folder: Path) -> list[Path]:
    """Draw points of a run, from the whole supernet to the most shrunk one."""
    return sorted(folder.glob("point-*.safetensors"))


def smallest_point_above(
    folder: Path,
    limits: Mapping[str, float],
    costs_of: Callable[[dict[str, int]], Mapping[str, float]] | None = None,
) -> DrawPoint:
    """The most trained point that is still larger than the limits by every metric; else the whole supernet.

    Its measured latency may be above a budget that its predicted one is within: the loop finds that out.

    Args:
        folder: State folder of a run.
        limits: Budgets by metric.
        costs_of: Prices widths anew, for limits on another device; by default the costs of the search count.

    Raises:
        HwticketsError: The run holds no points.
    """
    paths = points_in(folder)
    if not paths:
        raise HwticketsError(
            f"{folder}: this run holds no trained supernet yet; finish it with `search --resume`"
        )
    for path in reversed(paths):
        point = load_point(path)
        costs = costs_of(point.widths) if costs_of else point.costs
        if all(costs.get(metric, float("inf")) >= limit for metric, limit in limits.items()):
            return point
    return point

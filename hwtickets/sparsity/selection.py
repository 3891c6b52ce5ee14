"""Which of many scored parts are kept: the best of the whole network or of every layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["global", "layer"]


def keep_best(
    scores: Mapping[str, Tensor], sparsity: float, scope: Scope, layer_floor: float
) -> dict[str, Tensor]:
    """Keeps the parts with the highest scores; exactly as many as are asked for, also among equal ones.

    The best parts of every layer, up to its floor and at least one, are kept in any case; the others compete
    for what is left. Where the floors alone are more than the sparsity leaves, the floors win. The published
    code of SuperTickets (ECCV 2022) has no floor and empties whole layers at 90 %.

    Args:
        scores: Scores of the parts by layer, of any shape; higher is better.
        sparsity: Share of the parts that is removed, in [0, 1).
        scope: "global": one threshold for all layers; "layer": every layer loses the same share.
        layer_floor: Share of its parts that every layer keeps at least.

    Returns:
        Boolean tensors by layer, True where a part is kept.
    """
    guarded = {name: _guarded(score, layer_floor) for name, score in scores.items()}
    if scope == "layer":
        return {name: _best(flat, sparsity).view(scores[name].shape) for name, flat in guarded.items()}
    kept = _best(torch.cat(list(guarded.values())), sparsity)
    parts = kept.split([len(flat) for flat in guarded.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(guarded, parts, strict=True)}


def _guarded(score: Tensor, layer_floor: float) -> Tensor:
    """The scores of a layer in one row, those that its floor keeps being infinite."""
    flat = score.detach().flatten().clone()
    least = max(1, round(layer_floor * len(flat)))
    flat[flat.topk(least).indices] = math.inf
    return flat


def _best(flat: Tensor, sparsity: float) -> Tensor:
    removed = min(int(sparsity * len(flat)), int((flat < math.inf).sum()))
    if removed == 0:
        return torch.ones_like(flat, dtype=torch.bool)
    threshold = flat.kthvalue(removed).values
    kept = flat > threshold
    # Many weights can be equal (reactivated ones that are still zero): as many of them stay as there is room.
    equal = (flat == threshold).nonzero().flatten()
    kept[equal[: len(flat) - removed - int(kept.sum())]] = True
    return kept

"""Importance that is measured: by how much the loss rises as the channels of one unit go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwtickets.space.units import Unit
from hwtickets.sparsity.channel_weights import Entries, Places
from hwtickets.sparsity.importance import Importance, Scores, TaylorImportance, finite
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.tasks.evaluation import evaluating

#: Shares of a unit that are tried, and passes over a batch that all of them may take together: about as long
#: as 200 steps of training. With many units, fewer shares and batches are left for each.
_SHARES, _FEWEST_SHARES, _PASSES = 8, 2, 600
#: What Taylor's scores weigh where the loss did not rise: they order the channels there.
_BESIDES = 1e-9


class SensitivityImportance(Importance):
    """The geometric mean of a channel's first-order score and of what its unit was measured to need.

    First-order scores hold for a channel alone: they do not see that the second half of a unit is missed far
    more than the first. So the loss is measured with 1/8, 2/8, ... of the channels of one unit gone, the
    least important ones by Taylor's scores first, while all other units are whole; batch norms use the
    statistics of the batch, as they would be recalibrated. The rise of the loss, made convex, has one slope a
    channel. Both are taken as shares of their sum over all units.
    Source: sensitivity of layers of Li et al., Pruning Filters for Efficient ConvNets (ICLR 2017), section
    3.2; statistics after pruning of EagleEye (ECCV 2020), section 3.3; scores of `TaylorImportance`.
    """

    name = "sensitivity"

    def measure(self, evidence: Evidence, units: Iterable[Unit], parts: int = 1) -> Scores:
        """Scores; see `Importance.measure`.

        Raises:
            HwticketsError: A score is not finite.
        """
        units = list(units)
        taylor = TaylorImportance().measure(evidence, units, parts)
        slopes = _Losses(evidence, units, len(taylor), parts).slopes(taylor)
        first, measured = _relative(taylor), _relative(finite(slopes, self.name))
        return {
            name: ((score * measured[name]).sqrt() + _BESIDES * score).float()
            for name, score in first.items()
        }


class _Losses:
    """The loss of a network with a part of one unit gone.

    Args:
        evidence: The network and its data.
        units: All units of its space.
        present: How many of them are left.
        parts: Batches that are equal parts of one.
    """

    def __init__(self, evidence: Evidence, units: Sequence[Unit], present: int, parts: int) -> None:
        self._evidence, self._units = evidence, units
        self._places = Places(evidence.model, units)  # type: ignore[arg-type]
        self._shares = min(_SHARES, max(_FEWEST_SHARES, _PASSES // max(1, present)))
        batches = max(1, _PASSES // max(1, present * self._shares))
        self._batches = list(islice(evidence.batches(), batches * parts))

    @torch.no_grad()
    def slopes(self, ranks: Mapping[str, Tensor]) -> Scores:
        """What each channel costs as its unit loses the lowest ranks first; (channels,) by unit."""
        found: Scores = {}
        with evaluating(self._evidence.model), _statistics_of_batches(self._evidence.model):
            whole = self._loss()
            for unit in (unit for unit in self._units if unit.name in ranks):
                order = ranks[unit.name].argsort()
                rises = {
                    0: 0.0,
                    **{gone: self._without(unit, order[:gone]) - whole for gone in self._tried(order)},
                }
                slopes = torch.empty(len(order), dtype=torch.float64)
                slopes[order] = torch.from_numpy(convex_slopes(rises))
                found[unit.name] = slopes
        return found

    def _tried(self, order: Tensor) -> list[int]:
        return sorted({max(1, round(len(order) * k / self._shares)) for k in range(1, self._shares + 1)})

    def _without(self, unit: Unit, channels: Tensor) -> float:
        with _silenced(self._places.factors(unit), channels):
            return self._loss()

    def _loss(self) -> float:
        model = self._evidence.model
        device = next(model.parameters()).device
        losses = [self._evidence.loss(model(x.to(device)), y.to(device)) for x, y in self._batches]
        return float(torch.stack(losses).mean())


def convex_slopes(rises: Mapping[int, float]) -> NDArray[np.float64]:
    """Slopes of the largest convex curve below some points that never falls, one a step, ascending.

    Args:
        rises: Value by number of steps; 0 and the last one are among them.
    """
    steps = sorted(rises)
    # A loss that falls as channels go says no more than that they are worth nothing.
    values = np.maximum.accumulate([0.0, *(rises[step] for step in steps[1:])])
    hull: list[int] = []
    for point in range(len(steps)):
        while len(hull) > 1 and _above(steps, values, hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    curve = np.interp(np.arange(steps[-1] + 1), [steps[p] for p in hull], [values[p] for p in hull])
    return np.diff(curve)


def _above(steps: Sequence[int], values: NDArray[np.float64], left: int, middle: int, right: int) -> bool:
    """Whether a point lies on or above the line between its neighbours."""
    rise, run = values[right] - values[left], steps[right] - steps[left]
    return bool((values[middle] - values[left]) * run >= rise * (steps[middle] - steps[left]))


def _relative(scores: Mapping[str, Tensor]) -> Scores:
    """Scores as shares of their sum over all units; float64."""
    total = sum(float(score.double().sum()) for score in scores.values()) or 1.0
    return {name: score.double() / total for name, score in scores.items()}


@contextmanager
def _silenced(factors: Sequence[tuple[nn.Module, Entries]], channels: Tensor) -> Iterator[None]:
    """Some channels of a unit give nothing: the factors that scale and shift them are 0."""
    saved = []
    for factor, entries in factors:
        rows = channels if entries is None else entries[channels].flatten()
        for values in (factor.weight, getattr(factor, "bias", None)):
            if isinstance(values, Tensor):
                saved.append((values, values.clone()))
                values[rows.to(values.device)] = 0.0
    try:
        yield
    finally:
        for values, before in saved:
            values.copy_(before)


@contextmanager
def _statistics_of_batches(model: nn.Module) -> Iterator[None]:
    """Batch norms that learn use the statistics of the batch; their running ones stay as they are."""
    norms = [
        module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    norms = [norm for norm in norms if norm.weight is None or norm.weight.requires_grad]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm in norms:
            norm.training, norm.track_running_stats = False, True

"""Progressive physical shrinking: at each event the draw under the present limit, cut out of everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from hwtickets.costs.additive import AdditiveCost
from hwtickets.search.draw import draw_within
from hwtickets.search.masking import ProgressiveMasks
from hwtickets.search.origins import Origins
from hwtickets.search.penalty import PricedPenalty
from hwtickets.search.prices import UnitPrice, unit_prices
from hwtickets.search.schedules import ShrinkSchedule
from hwtickets.search.scoring import ScoreGatherer
from hwtickets.space.slicing import keep_channels, present_widths
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import Allocation, best_channels
from hwtickets.sparsity.channel_weights import Places, by_channel
from hwtickets.sparsity.choices import price_network, price_space
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.threshold import allocate_by_threshold
from hwtickets.training.ema import EMA
from hwtickets.training.layout import lay_channels_last
from hwtickets.training.loop import Hook, TrainingLoop


@dataclass(frozen=True)
class Pricing:
    """How networks of a space are priced and drawn in this run.

    Attributes:
        space: The search space.
        costs: Costs by metric; the first one chooses the deployed forms.
        limits: Budgets by metric.
        price: The metric that the penalty and the draw pay in.
        alignment: Widths are multiples of this.
        floor: Channels that every block keeps at least.
        shrink_by: "knapsack" or "threshold"; see the keys of a search.
        unit_price: "slope" or "slope-existence".
    """

    space: SearchSpace
    costs: Mapping[str, AdditiveCost]
    limits: Mapping[str, float]
    price: str
    alignment: int
    floor: int
    shrink_by: str = "knapsack"
    unit_price: str = "slope-existence"

    def unit_prices(self, widths: Mapping[str, int]) -> dict[str, UnitPrice]:
        """What the penalty pays for every present unit at the present widths."""
        prices = unit_prices(self.space, self.costs[self.price], self.alignment, widths)
        if self.unit_price == "slope-existence":
            return prices
        return {name: UnitPrice(price.slope, 0.0) for name, price in prices.items()}

    def draw(self, scores: Scores, limits: Mapping[str, float], widths: Mapping[str, int]) -> Allocation:
        """The network that a shrink cuts to, out of the present widths; errors as of `draw_within`."""
        if self.shrink_by == "knapsack":
            priced = price_space(self.space, self.costs, self.alignment, widths, self.floor)
            return draw_within(priced, scores, limits, self.price)
        prices = unit_prices(self.space, self.costs[self.price], self.alignment, widths)
        slopes = {name: price.slope for name, price in prices.items()}
        space, costs = self.space, self.costs
        return allocate_by_threshold(space, costs, scores, slopes, limits, self.alignment, self.floor)

    def costs_of(self, widths: Mapping[str, int]) -> dict[str, float]:
        """Cost of one network by metric, its blocks in their cheapest forms."""
        return price_network(self.space, widths, self.costs)[1]


@dataclass(frozen=True)
class ShrinkEvent:
    """What happened at one shrink.

    Attributes:
        index: Number of the event, from 1.
        step: Finished steps.
        limits: Limits of this event by metric.
        alive: What the channels that the penalty left alive would cost by metric.
        costs: Cost after the shrink by metric.
        strength: Strength of the penalty from here on.
        channels: Channels left.
    """

    index: int
    step: int
    limits: dict[str, float]
    alive: dict[str, float]
    costs: dict[str, float]
    strength: float
    channels: int


class ProgressiveShrink(Hook):
    """Cuts the network to the drawn widths at every "shrink" trigger and refreshes the prices.

    Args:
        pricing: Space, costs and budgets.
        schedule: Limit of each event.
        scores: Importance since the last event.
        penalty: Gets new prices; its strength follows the limit.
        ema: Cut along.
        masks: Cut along and mended.
        origins: Cut along.
        before: Called with the scores before each cut (to keep a point that larger budgets can be drawn
            from).
        after: Called with what happened.
        alive_above: Scales of at most this size count as made zero by the penalty.
    """

    name = "shrink"
    event = "shrink"

    def __init__(
        self,
        pricing: Pricing,
        schedule: ShrinkSchedule,
        scores: ScoreGatherer,
        penalty: PricedPenalty,
        ema: EMA,
        masks: ProgressiveMasks,
        origins: Origins,
        before: Callable[[TrainingLoop, int, Scores], None],
        after: Callable[[ShrinkEvent], None],
        alive_above: float = 0.0,
    ) -> None:
        self._pricing, self._schedule, self._scores = pricing, schedule, scores
        self._penalty, self._ema, self._masks, self._origins = penalty, ema, masks, origins
        self._before, self._after, self._alive_above = before, after, alive_above
        self._done = 0

    def refresh_prices(self, widths: Mapping[str, int]) -> None:
        """Prices the units at the present widths for the penalty."""
        self._penalty.set_prices(self._pricing.unit_prices(widths), widths)

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        """Cuts the network to the limit of the next event."""
        if event != self.event or self._done == self._schedule.events:
            return
        self._done += 1
        pricing, units = self._pricing, self._pricing.space.units
        scores, limits = self._scores.mean(), self._schedule.at(self._done)
        self._before(loop, self._done, scores)
        alive = pricing.costs_of(self._alive_widths(loop))
        strength = self._penalty.controller.update(alive[pricing.price], self._price_limit(limits))
        widths = present_widths(loop.model, units.values())
        drawn = pricing.draw(scores, limits, widths)
        kept = {name: torch.from_numpy(index) for name, index in best_channels(scores, drawn.widths).items()}
        companions = [self._ema.shadow, self._masks.masks]
        keep_channels(loop.model, units.values(), kept, loop.optimizer, companions)
        self._origins.cut(kept, present_widths(loop.model, units.values()))
        self._masks.after_cut(loop.model)
        lay_channels_last(loop.model)
        self._scores.reset()
        self.refresh_prices(drawn.widths)
        channels = sum(drawn.widths.values())
        self._after(ShrinkEvent(self._done, loop.step, limits, alive, drawn.costs, strength, channels))

    def _price_limit(self, limits: Mapping[str, float]) -> float:
        """The limit in the currency of the penalty; a price without a budget follows the others' share."""
        if self._pricing.price in limits:
            return limits[self._pricing.price]
        share = min(limit / self._schedule.dense[metric] for metric, limit in limits.items())
        return share * self._schedule.dense[self._pricing.price]

    def _alive_widths(self, loop: TrainingLoop) -> dict[str, int]:
        """Channels whose scales the penalty has not all made zero, in whole aligned groups."""
        space, alignment = self._pricing.space, self._pricing.alignment
        places = Places(loop.model, space.units.values())
        alive = dict.fromkeys(space.units, 0)
        for name in (name for name, width in places.widths.items() if width):
            scales = [
                by_channel(cast("Tensor", module.weight), entries)
                for module, entries in places.factors(space.units[name])
            ]
            count = int(
                torch.cat([scale.abs() > self._alive_above for scale in scales], dim=1).any(dim=1).sum()
            )
            step = space.step(name, alignment)
            # A penalty empties no unit of a module; branches go in the draw.
            count = max(count, 1) if space.coupled else count
            alive[name] = min(places.widths[name], -(-count // step) * step)
        return alive

    def facts(self) -> dict[str, Any]:
        """How many events there were."""
        return {"done": self._done}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Goes on after a saved event."""
        self._done = facts["done"]

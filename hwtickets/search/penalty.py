"""The priced penalty on importance factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hwtickets.search.controller import BudgetController
from hwtickets.search.prices import UnitPrice
from hwtickets.space.units import Unit
from hwtickets.sparsity.channel_weights import Places
from hwtickets.supernets.base import Supernet
from hwtickets.training.loop import Hook, TrainingLoop


class PricedPenalty(Hook):
    """Slope times L1 plus existence times L2 of every branch's BN scales, as a proximal step.

    `strength * sum_b [ slope_b * ||gamma_b||_1 + existence_b / sqrt(h_b) * ||gamma_b||_2 ] / mean price of a
    channel`: with all scales at one, the sum is the network's price. The proximal step makes scales exactly
    zero, so "alive" needs no threshold (the published code compares with 1e-3). Source: SuperTickets (ECCV
    2022), section 3, with the
    MAC weight replaced by a device's price; sparse group lasso (Simon et al., 2013).

    A unit that several batch norms scale is pulled at all of them. One scale that stands for many channels of
    a layer, as that of an attention head, is pulled as each of them would be: by its share of the price. The
    whole price would empty heads before the loss could say what they are worth.

    Args:
        units: Units of the search space.
        controller: Holds the strength.
        ramp_steps: Steps over which the strength grows linearly from zero.
    """

    name = "penalty"

    def __init__(self, units: Mapping[str, Unit], controller: BudgetController, ramp_steps: int) -> None:
        self.controller = controller
        self._units, self._ramp_steps = units, ramp_steps
        self._slopes: dict[str, float] = {}
        self._existences: dict[str, float] = {}
        self._places: Places | None = None

    def set_prices(self, prices: Mapping[str, UnitPrice], widths: Mapping[str, int]) -> None:
        """Takes the present prices, normalised by the mean price of a channel."""
        scaled = {name: self._units[name].channels_per_scale for name in prices}
        channels = sum(widths[name] * count for name, count in scaled.items())
        total = sum(price.slope * widths[name] + price.existence for name, price in prices.items())
        mean = total / channels if total else 1.0
        self._slopes = {name: price.slope / mean / scaled[name] for name, price in prices.items()}
        self._existences = {name: price.existence / mean / scaled[name] for name, price in prices.items()}
        self._places = None

    def after_step(self, loop: TrainingLoop) -> None:
        """Pulls the scales down by the rate, the strength and their prices."""
        ramp = min(1.0, (loop.step + 1) / self._ramp_steps)
        amount = loop.rate * self.controller.strength * ramp
        with torch.no_grad():
            for name, slope in self._slopes.items():
                held = self._scales(loop.model, name)
                scale = torch.cat([weight[entries] for weight, entries in held])
                soft = torch.clamp(scale.abs() - amount * slope, min=0.0)
                group = amount * self._existences[name] / len(scale) ** 0.5
                shrunk = torch.clamp(1 - group / soft.norm().clamp_min(1e-12), min=0.0)
                pulled = torch.copysign(soft * shrunk, scale)
                for weight, entries in held:
                    own, pulled = pulled.tensor_split([weight[entries].numel()])
                    weight[entries] = own

    def _scales(self, model: Supernet, name: str) -> list[tuple[Tensor, Tensor | slice]]:
        """The tensors that hold a unit's importance factors, and where in them its own lie."""
        if self._places is None:
            self._places = Places(model, self._units.values())
        held: list[tuple[Tensor, Tensor | slice]] = []
        for factor, entries in self._places.factors(self._units[name]):
            assert isinstance(factor.weight, Tensor)
            held.append((factor.weight, slice(None) if entries is None else entries.flatten()))
        return held

    def facts(self) -> dict[str, Any]:
        """The strength."""
        return {"strength": self.controller.strength}

    def restore(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Goes on with a saved strength."""
        self.controller.strength = facts["strength"]

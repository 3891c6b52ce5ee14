"""Dual ascent: the strength of a penalty follows a budget, not a hand."""

from __future__ import annotations

import math


class BudgetController:
    """`strength <- strength * exp(gain * (value / limit - 1))`, clipped in every step.

    Args:
        strength: Where to start.
        gain: How fast to react to being over or under the limit.
        largest_factor: Bound of the factor of one update, in either direction.
    """

    def __init__(self, strength: float, gain: float = 1.0, largest_factor: float = 4.0) -> None:
        self.strength, self.gain, self.largest_factor = strength, gain, largest_factor

    def update(self, value: float, limit: float) -> float:
        """Moves the strength after an observation and returns it.

        Args:
            value: What the penalty alone has achieved, in any unit.
            limit: What it should achieve by now, in the same unit.
        """
        bound = math.log(self.largest_factor)
        step = min(bound, max(-bound, self.gain * (value / limit - 1)))
        self.strength *= math.exp(step)
        return self.strength

"""Keeping a latency budget with a pruner that knows no latency: by trial, as its user must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwtickets.errors import HwticketsError

#: Tries at most, and how near the ends of the interval come before another try would tell nothing.
MOST_TRIES, NARROWEST = 10, 0.005


class RefusedError(HwticketsError):
    """A pruner cannot make a network this small, or says that it cannot."""


@dataclass(frozen=True)
class Try:
    """One try.

    Attributes:
        kept: The knob: how much was to be kept of what the pruner counts, in (0, 1).
        share: Measured latency as a share of the dense network's; None where the pruner refused.
    """

    kept: float
    share: float | None


def bisect(
    share_at: Callable[[float], float], budget: float, tolerance: float, most: int = MOST_TRIES
) -> list[Try]:
    """Halves the interval of the knob until a network meets the budget.

    Args:
        share_at: Makes and measures the network at a position of the knob; may raise `RefusedError`.
        budget: Share of the dense latency.
        tolerance: Share of the budget that may stay unused.
        most: Tries at most.

    Returns:
        All tries, in order.
    """
    low, high = 0.0, 1.0
    tries: list[Try] = []
    while len(tries) < most and high - low > NARROWEST:
        kept = (low + high) / 2
        try:
            share = share_at(kept)
        except RefusedError:
            tries.append(Try(kept, None))
            low = kept
            continue
        tries.append(Try(kept, share))
        if (1 - tolerance) * budget <= share <= budget:
            break
        low, high = (low, kept) if share > budget else (kept, high)
    return tries


def best_try(tries: Sequence[Try], budget: float) -> Try | None:
    """The slowest network that keeps the budget, else the fastest one; None where there is no network."""
    measured = [(one.share, one) for one in tries if one.share is not None]
    if not measured:
        return None
    within = [pair for pair in measured if pair[0] <= budget]
    chosen = max(within, key=lambda pair: pair[0]) if within else min(measured, key=lambda pair: pair[0])
    return chosen[1]

"""Drawing under budgets, paid in latency or, for comparison, in MACs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hwtickets.errors import BudgetError
from hwtickets.sparsity.allocation import Allocation, allocate
from hwtickets.sparsity.choices import Priced
from hwtickets.sparsity.importance import Scores

#: Draws a network, given what predicted latencies have to be multiplied by, and the limits by metric. Where
#: nothing keeps the limit of latencies, it draws the nearest network.
Drawer = Callable[[float, Mapping[str, float]], Allocation]


def draw_within(priced: Priced, scores: Scores, limits: Mapping[str, float], price: str) -> Allocation:
    """Draws the network that keeps the most importance within the limits.

    Args:
        priced: Choices and costs.
        scores: Importance of the channels that are left.
        limits: Upper limit by metric.
        price: A metric among the limits: the exact draw. Another metric: the networks that are best for
            their price are tried from cheap to dear, and the dearest one within the limits is taken. That is
            how a search by MACs meets a budget in milliseconds.

    Raises:
        BudgetError: Nothing fits.
    """
    if price in limits:
        return allocate(priced, scores, limits)
    return _dearest_within(priced, scores, limits, price)


def _dearest_within(
    priced: Priced, scores: Scores, limits: Mapping[str, float], price: str, bisections: int = 20
) -> Allocation:
    low = priced.smallest(price)
    high = priced.largest(price)
    best = None
    for _ in range(bisections):
        middle = (low + high) / 2
        drawn = allocate(priced, scores, {price: middle})
        if all(drawn.costs[metric] <= limit for metric, limit in limits.items()):
            best, low = drawn, middle
        else:
            high = middle
    if best is None:
        raise BudgetError(f"no network drawn by {price} meets the budget; draw by latency or loosen it")
    return best

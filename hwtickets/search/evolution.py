"""An evolution strategy over one positive factor for each of several things."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

#: Two kinds of changes by turns: how many factors are changed on average at most, and between what the spread
#: of the change of a logarithm is drawn.
_CHANGES = ((2.0, 0.5, 2.0), (math.inf, 0.2, 0.5))


def evolve(
    loss_of: Callable[[dict[str, float]], float], names: Sequence[str], trials: int, seed: int
) -> dict[str, float]:
    """The factors of the lowest loss that are found; all are 1 at first.

    Every trial changes logarithms of the best factors so far by normal random numbers, by turns few of them
    by much and all of them by little, and is kept if it loses less.
    Source: Beyer and Schwefel, Evolution Strategies: a Comprehensive Introduction (Natural Computing, 2002),
    the (1 + 1) strategy; the spread is drawn anew every time here.

    Args:
        loss_of: Loss at some factors; one that is no number counts as the highest.
        names: What has a factor.
        trials: How often factors are changed.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    best, lowest = np.zeros(len(names)), _loss(loss_of(dict.fromkeys(names, 1.0)))
    for number in range(trials):
        count, least, most = _CHANGES[number % len(_CHANGES)]
        changed = random.random(len(names)) * len(names) < count
        spread = math.exp(random.uniform(math.log(least), math.log(most)))
        found = best + changed * random.normal(0.0, spread, len(names))
        loss = _loss(loss_of(_factors(names, found)))
        if loss < lowest:
            best, lowest = found, loss
    return _factors(names, best)


def _factors(names: Sequence[str], logarithms: np.ndarray) -> dict[str, float]:
    return dict(zip(names, np.exp(logarithms).tolist(), strict=True))


def _loss(value: float) -> float:
    return value if math.isfinite(value) else math.inf

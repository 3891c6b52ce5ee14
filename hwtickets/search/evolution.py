"""An evolution strategy over one positive factor for each of several things."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

#: Spread of a change of a logarithm in the first and in the last trial.
_FIRST_SPREAD, _LAST_SPREAD = 0.8, 0.3
#: Share of the factors that a trial changes, and how many of them at least on average.
_SHARE, _FEWEST = 0.15, 2.0


def evolve(
    loss_of: Callable[[dict[str, float]], float], names: Sequence[str], trials: int, seed: int
) -> dict[str, float]:
    """The factors of the lowest loss that are found; all are 1 at first.

    Every trial changes some logarithms of the best factors so far by normal random numbers, and is kept if it
    loses less.
    Source: Beyer and Schwefel, Evolution Strategies: a Comprehensive Introduction (Natural Computing, 2002),
    the (1 + 1) strategy; the spread follows a schedule here.

    Args:
        loss_of: Loss at some factors; one that is no number counts as the highest.
        names: What has a factor.
        trials: How often factors are changed.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    best, lowest = np.zeros(len(names)), _loss(loss_of(dict.fromkeys(names, 1.0)))
    share = max(_SHARE, _FEWEST / max(1, len(names)))
    for spread in np.geomspace(_FIRST_SPREAD, _LAST_SPREAD, trials):
        changed = random.random(len(names)) < share
        found = best + changed * random.normal(0.0, spread, len(names))
        loss = _loss(loss_of(_factors(names, found)))
        if loss < lowest:
            best, lowest = found, loss
    return _factors(names, best)


def _factors(names: Sequence[str], logarithms: np.ndarray) -> dict[str, float]:
    return dict(zip(names, np.exp(logarithms).tolist(), strict=True))


def _loss(value: float) -> float:
    return value if math.isfinite(value) else math.inf

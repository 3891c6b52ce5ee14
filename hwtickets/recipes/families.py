"""Networks that no search has chosen: uniform and random widths, from narrow to wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwtickets.search.draw import Drawer
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import price_network, price_networks
from hwtickets.sparsity.pricing import Costs

Widths = dict[str, int]


def widest(networks: Sequence[Widths], space: SearchSpace, costs: Costs) -> Drawer:
    """The drawer that takes the widest network of a family within the limits.

    Args:
        networks: The family, from narrow to wide.
        space: The search space.
        costs: Costs by metric; the first one chooses the forms.
    """
    columns = list(space.units)
    rows = np.array([[widths[unit] for unit in columns] for widths in networks], dtype=np.int64)
    prices = price_networks(space, rows, costs)

    def draw(correction: float, limits: Mapping[str, float]) -> Allocation:
        fits = np.ones(len(rows), dtype=bool)
        for metric, limit in limits.items():
            fits &= prices[metric] * (correction if metric == "latency" else 1.0) <= limit
        # Where nothing fits, the narrowest one is the nearest.
        index = int(fits.nonzero()[0].max(initial=0))
        widths = networks[index]
        forms, own = price_network(space, widths, costs)
        kept = sum(widths.values()) / sum(space.dense().values())
        return Allocation(widths, forms, {**own, "latency": own["latency"] * correction}, kept)

    return draw


def uniform_networks(space: SearchSpace, alignment: int) -> list[Widths]:
    """Networks whose branches all keep the same share of their channels, rounded up to the alignment.

    Args:
        space: The search space.
        alignment: Widths are multiples of this, or full.
    """
    groups = max(-(-unit.width // alignment) for unit in space.units.values())
    found: list[Widths] = []
    for group in range(1, groups + 1):
        widths = {
            name: min(unit.width, alignment * max(1, -(-unit.width * group // (groups * alignment))))
            for name, unit in space.units.items()
        }
        if widths not in found:
            found.append(widths)
    return found


def random_networks(space: SearchSpace, alignment: int, floor: int, seed: int) -> list[Widths]:
    """The networks on a random way from the whole supernet down to the narrowest network.

    At each step one unit, chosen by chance, falls to its next aligned width. Each network holds the narrower
    ones, so that a larger budget never means another kind of network.

    Args:
        space: The search space.
        alignment: Widths are multiples of this.
        floor: Channels that every block keeps at least, over all its branches together.
        seed: Of the way.
    """
    allowed = {name: space.widths_allowed(name, alignment) for name in space.units}
    steps = [name for name, widths in allowed.items() for _ in widths[1:]]
    present = space.dense()
    found = [dict(present)]
    for place in np.random.default_rng(seed).permutation(len(steps)):
        name = steps[place]
        lower = max(width for width in allowed[name] if width < present[name])
        block = space.blocks[space.units[name].block]
        if sum(present[other] for other in block) - present[name] + lower < floor:
            continue
        present[name] = lower
        found.append(dict(present))
    return found[::-1]

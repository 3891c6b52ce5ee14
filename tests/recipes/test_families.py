from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.recipes.families import random_networks, uniform_networks, widest
from hwtickets.space.space import SearchSpace

LATENCY = AdditiveCost("latency", "ms", 0.002, lambda spec: 0.001 + spec.macs / 5e6)
COSTS = {"latency": LATENCY, "macs": macs_cost()}


def _within(narrow: Mapping[str, int], wide: Mapping[str, int]) -> bool:
    return all(width <= wide[name] for name, width in narrow.items())


@pytest.mark.parametrize("floor", [0, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_random_network_lies_in_the_wider_ones(tiny_space: SearchSpace, floor: int, seed: int) -> None:
    networks = random_networks(tiny_space, 8, floor, seed)
    assert networks[-1] == tiny_space.dense()
    assert all(_within(narrow, wide) for narrow, wide in itertools.pairwise(networks))
    for widths in networks:
        assert all(widths[name] in tiny_space.widths_allowed(name, 8) for name in widths)
        assert all(sum(widths[name] for name in block) >= floor for block in tiny_space.blocks.values())
    narrowest = sum(networks[0].values())
    assert narrowest == floor * len(tiny_space.blocks)


def test_the_seed_chooses_the_way(tiny_space: SearchSpace) -> None:
    assert random_networks(tiny_space, 8, 0, 3) == random_networks(tiny_space, 8, 0, 3)
    assert random_networks(tiny_space, 8, 0, 3) != random_networks(tiny_space, 8, 0, 4)


def test_uniform_networks_keep_the_same_share_everywhere(tiny_space: SearchSpace) -> None:
    networks = uniform_networks(tiny_space, 8)
    assert networks[-1] == tiny_space.dense()
    assert all(_within(narrow, wide) for narrow, wide in itertools.pairwise(networks))
    for widths in networks:
        shares = [widths[name] / unit.width for name, unit in tiny_space.units.items()]
        assert max(shares) - min(shares) <= 8 / 16, "no further apart than one aligned step"


def test_the_widest_network_within_the_limits_is_drawn(tiny_space: SearchSpace) -> None:
    networks = random_networks(tiny_space, 8, 0, 0)
    draw = widest(networks, tiny_space, COSTS)
    dense = draw(1.0, {})
    assert dense.widths == tiny_space.dense() and dense.value == 1.0
    limit = 0.6 * dense.costs["latency"]
    drawn = draw(1.0, {"latency": limit})
    place = networks.index(drawn.widths)
    assert drawn.costs["latency"] <= limit < draw(1.0, {}).costs["latency"]
    assert all(_costs(tiny_space, wider) > limit for wider in networks[place + 1 :])
    slow = draw(2.0, {"latency": limit})
    assert networks.index(slow.widths) < place, "on a slower device the same limit is a narrower network"
    assert slow.costs["latency"] == pytest.approx(2 * _costs(tiny_space, slow.widths))
    both = draw(1.0, {"latency": limit, "macs": 0.3 * dense.costs["macs"]})
    assert both.costs["macs"] <= 0.3 * dense.costs["macs"]
    assert draw(1.0, {"latency": 0.0}).widths == networks[0], "the narrowest is the nearest"


def _costs(space: SearchSpace, widths: Mapping[str, int]) -> float:
    return widest([dict(widths)], space, COSTS)(1.0, {}).costs["latency"]

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.observations import Measured, Observations, Profiled, count_operators
from hwtickets.tables.regression import Regression
from hwtickets.tables.sampling import Space, sampled_networks


def _operator_ms(spec: OperatorSpec, spread: float) -> float:
    """A formula of MACs, and a deviation that every operator has for itself."""
    random = np.random.default_rng(int(hashlib.sha256(repr(spec).encode()).hexdigest()[:12], 16))
    return (0.01 + spec.macs / 1e7) * float(np.exp(spread * random.standard_normal()))


def _regression(
    space: Space, noise: float, spread: float, count: int = 80
) -> tuple[Regression, list[OperatorSpec], list[OperatorGraph]]:
    random = np.random.default_rng(5)
    known = sampled_networks(space, 8, count, seed=0)
    new = sampled_networks(space, 8, 60, seed=1)
    specs = list(dict.fromkeys(op.spec for graph in [*known, *new] for op in graph))
    networks = [
        Measured(graph, _network_ms(graph, spread) * (1 + noise * random.standard_normal()))
        for graph in known
    ]
    return Regression(Observations(networks, {}, specs), specs), specs, new


def _network_ms(graph: OperatorGraph, spread: float) -> float:
    return 0.02 + sum(_operator_ms(op.spec, spread) for op in graph)


@pytest.mark.parametrize("noise", [0.005, 0.04])
def test_the_noise_of_a_device_is_found(space: Space, noise: float) -> None:
    assert _regression(space, noise, spread=0.03)[0].noise == noise


def test_a_device_full_of_steps_is_told_from_a_smooth_one(space: Space) -> None:
    doubts = []
    for spread in (0.0, 0.3):
        regression, specs, new = _regression(space, noise=0.005, spread=spread, count=20)
        doubts.append(np.median(np.diag(regression.doubt(count_operators(new, specs)))))
    assert doubts[1] > 4 * doubts[0]


@pytest.mark.parametrize("spread", [0.03, 0.06])
def test_the_doubt_is_as_large_as_the_errors_on_new_networks(space: Space, spread: float) -> None:
    regression, specs, new = _regression(space, noise=0.005, spread=spread, count=25)
    counts = count_operators(new, specs)
    errors = regression.predict(counts) / np.array([_network_ms(graph, spread) for graph in new]) - 1
    expected = np.sqrt(np.diag(regression.doubt(counts)))
    assert 0.4 < np.sqrt(np.mean((errors / expected) ** 2)) < 2.5


def test_more_networks_leave_less_doubt(space: Space) -> None:
    doubts = []
    for count in (10, 40, 120):
        regression, specs, new = _regression(space, noise=0.01, spread=0.12, count=count)
        doubts.append(np.diag(regression.doubt(count_operators(new, specs))).mean())
    assert doubts[0] > doubts[1] > doubts[2]


def test_how_often_operators_occur_is_counted(space: Space) -> None:
    (graph,) = sampled_networks(space, 8, 1, seed=0)
    specs = list(dict.fromkeys(op.spec for op in graph))
    counts = count_operators([graph, graph], specs)
    assert counts.shape == (2, len(specs))
    assert counts.sum() == 2 * len(graph)


def test_an_operator_that_a_profile_rounds_to_nothing_is_as_good_as_unprofiled(space: Space) -> None:
    networks = [Measured(graph, _network_ms(graph, 0.0)) for graph in sampled_networks(space, 8, 20, seed=0)]
    specs = list(dict.fromkeys(op.spec for network in networks for op in network.graph))
    free = {specs[0]: Profiled(0.0, 1.0)}
    found, expected = (
        Regression(Observations(networks, profiles, specs), specs).latency_ms for profiles in (free, {})
    )
    np.testing.assert_array_equal(found, expected)

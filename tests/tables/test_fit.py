from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.families import members
from hwtickets.tables.fit import fit_operators
from hwtickets.tables.observations import Measured, Profiled
from hwtickets.tables.sampling import Space, sampled_networks

_OFFSET_MS = 0.005
_PROFILE_COST_MS = 0.002


def _true_ms(spec: OperatorSpec) -> float:
    """A machine whose depthwise convolutions run at a quarter of the speed of the others."""
    return 0.001 + spec.macs / (2.5e7 if spec.depthwise else 1e8) + spec.bytes_moved / 1e8


def _networks(space: Space, count: int, noise: float = 0.0, seed: int = 0) -> list[Measured]:
    random = np.random.default_rng(seed)
    return [
        Measured(
            graph,
            (_OFFSET_MS + sum(_true_ms(op.spec) for op in graph)) * (1 + noise * random.standard_normal()),
        )
        for graph in sampled_networks(space, 8, count, seed)
    ]


def _profiles(networks: list[Measured]) -> dict[OperatorSpec, Profiled]:
    specs = {operator.spec for network in networks for operator in network.graph}
    return {spec: Profiled(_true_ms(spec) + _PROFILE_COST_MS, 1.0) for spec in specs}


def test_new_networks_are_predicted_from_noisy_ones(space: Space) -> None:
    known = _networks(space, 60, noise=0.01)
    fit = fit_operators(known, _profiles(known[:8]))
    errors = []
    for network in _networks(space, 40, seed=1):
        if all(operator.spec in fit.latency_ms for operator in network.graph):
            predicted = fit.offset_ms + sum(fit.latency_ms[operator.spec] for operator in network.graph)
            errors.append(abs(predicted / network.latency_ms - 1))
    assert len(errors) > 20
    assert np.median(errors) < 0.01


def test_profiles_tell_operators_apart_that_always_occur_together(space: Space) -> None:
    known = _networks(space, 60)
    fit = fit_operators(known, _profiles(known[:8]))
    depthwise = [spec for spec in fit.latency_ms if spec.depthwise]
    errors = [abs(fit.latency_ms[spec] / _true_ms(spec) - 1) for spec in depthwise]
    assert np.median(errors) < 0.1


def test_nothing_is_negative_and_wider_is_never_faster(space: Space) -> None:
    fit = fit_operators(_networks(space, 25, noise=0.05), {})
    assert min(fit.latency_ms.values()) >= 0
    assert min(fit.spread_ms.values()) >= 0
    depthwise = {
        family: entries for family, entries in members(fit.latency_ms, 3).items() if family.groups == 0
    }
    assert depthwise
    for entries in depthwise.values():
        latencies = [fit.latency_ms[spec] for _, spec in entries]
        assert all(narrow <= wide + 1e-12 for narrow, wide in pairwise(latencies))


def test_one_network_is_enough_to_explain_itself(space: Space) -> None:
    (network,) = _networks(space, 1)
    fit = fit_operators([network], {})
    predicted = fit.offset_ms + sum(fit.latency_ms[operator.spec] for operator in network.graph)
    assert predicted == pytest.approx(network.latency_ms, rel=0.02)

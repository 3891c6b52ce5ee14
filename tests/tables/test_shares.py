from __future__ import annotations

import numpy as np
import pytest

from hwtickets.space.operators import GraphBuilder, OperatorGraph, OperatorSpec
from hwtickets.tables.observations import Measured
from hwtickets.tables.shares import Times, fit_shares


def _chain(*widths: int) -> OperatorGraph:
    builder = GraphBuilder(3, 14, 14)
    x = builder.graph.input
    for number, width in enumerate(widths):
        x = builder.conv("b", f"conv{number}", x, width, 3, activation="relu")
    return builder.graph


def _true_ms(spec: OperatorSpec) -> float:
    return 0.004 + spec.macs / 5e7


def _profiled(graph: OperatorGraph, speed: float, node_ms: float, random: np.random.Generator) -> Times:
    """Each operator with some noise, all at the speed of the moment, and what profiling costs."""
    return {
        operator.name: (_true_ms(operator.spec) * speed * random.lognormal(0, 0.03) + node_ms, 1)
        for operator in graph
    }


def _networks(
    count: int, seed: int, node_ms: float = 0.001, noise: float = 0.0
) -> tuple[list[Measured], list[Times]]:
    random = np.random.default_rng(seed)
    graphs = [_chain(*(16 * random.integers(1, 9, size=4))) for _ in range(count)]
    times = [_profiled(graph, random.uniform(0.8, 1.2), node_ms, random) for graph in graphs]
    total_ms = [sum(_true_ms(operator.spec) for operator in graph) for graph in graphs]
    factors = random.lognormal(0, noise, count) if noise else np.ones(count)
    return [Measured(graph, ms) for graph, ms in zip(graphs, total_ms * factors, strict=True)], times


def test_shares_of_a_network_make_up_its_latency_whatever_the_speed_of_its_profile() -> None:
    graph = _chain(16, 32)
    specs = [operator.spec for operator in graph]
    times = {operator.name: (3 * _true_ms(operator.spec), 1) for operator in graph}
    fit = fit_shares([Measured(graph, 0.5)], [times], 16)
    assert sum(fit.latency_ms.values()) == pytest.approx(0.5)
    expected = _true_ms(specs[0]) / _true_ms(specs[1])
    assert fit.latency_ms[specs[0]] / fit.latency_ms[specs[1]] == pytest.approx(expected, rel=0.1)


def test_operators_that_occur_once_are_found_and_evened_out() -> None:
    networks, times = _networks(24, seed=0)
    fit = fit_shares(networks, times, 16)
    errors = [ms / _true_ms(spec) - 1 for spec, ms in fit.latency_ms.items()]
    assert len(errors) > 45
    assert abs(np.median(errors)) < 0.03
    assert np.percentile(np.abs(errors), 90) < 0.08


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_and_busy_machine_does_not_bend_them(seed: int) -> None:
    networks, times = _networks(36, seed, node_ms=0.008, noise=0.05)
    fit = fit_shares(networks, times, 16)
    errors = np.array([ms / _true_ms(spec) - 1 for spec, ms in fit.latency_ms.items()])
    assert abs(np.median(errors)) < 0.05
    small = np.array([spec.macs for spec in fit.latency_ms]) < 1e6
    assert abs(np.median(errors[small]) - np.median(errors[~small])) < 0.25
    sums = [sum(fit.latency_ms[operator.spec] for operator in network.graph) for network in networks]
    true = [sum(_true_ms(operator.spec) for operator in network.graph) for network in networks]
    assert np.median(np.array(sums) / true) == pytest.approx(1, abs=0.05)


def test_what_the_runtime_dropped_takes_nothing() -> None:
    graph = _chain(16, 32)
    first, second = graph.operators
    fit = fit_shares([Measured(graph, 0.5)], [{second.name: (0.6, 1)}], 16)
    assert fit.latency_ms == {first.spec: 0.0, second.spec: pytest.approx(0.5)}


def test_what_every_profile_makes_too_little_of_is_seen_in_the_networks() -> None:
    networks, times = _networks(36, seed=1)
    pooled = [
        (Measured(_with_pool(network.graph), network.latency_ms + 0.05), {**own, "h/pool": (0.025, 1)})
        for network, own in zip(networks[::2], times[::2], strict=True)
    ]
    fit = fit_shares(
        [*networks[1::2], *(network for network, _ in pooled)],
        [*times[1::2], *(own for _, own in pooled)],
        16,
    )
    found = [ms for spec, ms in fit.latency_ms.items() if spec.kind == "pool"]
    assert np.median(found) > 0.037


def _with_pool(graph: OperatorGraph) -> OperatorGraph:
    builder = GraphBuilder(3, 14, 14)
    builder.graph.operators.extend(graph.operators)
    builder.pool("h", "pool", graph.output)
    return builder.graph

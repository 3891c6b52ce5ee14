"""Operators of networks that hardly share any: each network's latency, split as its profile splits it.

Where an operator's channels belong to two units, nearly every network has operators of its own, and equations
over networks leave each of them free. But every one of them was profiled: the profile says which share of its
network it takes, and the network's latency, which is known far better, says of how much. What single profiles
are off by is evened out over operators that are alike; what all profiles make too much or too little of, the
networks show that have more or fewer of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.estimator import Estimator
from hwtickets.tables.families import group
from hwtickets.tables.fit import Fit
from hwtickets.tables.observations import Matrix, Measured, Vector

#: Profile time in ms and number of nodes, by operator name.
Times = Mapping[str, tuple[float, int]]

#: Relative standard deviation of a share that was seen once.
_SHARE_NOISE = 0.05
#: A node takes this share of its profile time at least, whatever profiling it costs.
_LEAST_SHARE = 0.2
#: Weight of the belief that profiling a node costs nothing, in networks.
_NODE_DOUBT = 0.1
#: Candidates for the relative standard deviation of networks around the sum of their operators, and that of
#: what profiles make of a group of operators.
_NETWORK_NOISES, _GROUP_SPREAD = (0.02, 0.04, 0.08, 0.16), 0.25


def fit_shares(networks: Sequence[Measured], times: Sequence[Times], alignment: int) -> Fit:
    """Splits the networks' latencies over their operators.

    Args:
        networks: At least one.
        times: Of each network, what its operators took in its profile; one that is missing took nothing.
        alignment: Channels that the runtime computes at once.
    """
    node_ms = _node_cost(networks, times)
    found: dict[OperatorSpec, list[float]] = defaultdict(list)
    for network, own in zip(networks, times, strict=True):
        parts_ms = [
            _without_profiling(*own.get(operator.name, (0.0, 0)), node_ms) for operator in network.graph
        ]
        total_ms = sum(parts_ms)
        for operator, part_ms in zip(network.graph, parts_ms, strict=True):
            found[operator.spec].append(part_ms * network.latency_ms / total_ms if total_ms else 0.0)
    latency_ms = {spec: float(np.median(values)) for spec, values in found.items()}
    evened_ms = _adding_up(networks, _evened(latency_ms, alignment))
    spread_ms = {spec: _SHARE_NOISE * evened_ms[spec] / np.sqrt(len(found[spec])) for spec in latency_ms}
    return Fit(0.0, evened_ms, {spec: float(spread) for spec, spread in spread_ms.items()}, _SHARE_NOISE)


def _node_cost(networks: Sequence[Measured], times: Sequence[Times]) -> float:
    """What profiling costs a node, in ms: what profiles hold besides a multiple of the latencies.

    The multiple is 1 where the machine was as fast when it profiled as when it timed. Seen: 1 to 2 us on one
    machine, 7 us on another.
    """
    from scipy.optimize import nnls

    latency_ms = np.array([network.latency_ms for network in networks])
    profiled_ms = np.array([sum(ms for ms, _ in own.values()) for own in times])
    nodes = np.array([sum(count for _, count in own.values()) for own in times])
    a_node = nodes / latency_ms
    # Where nothing tells the two apart, it is the machine's speed.
    doubt = [0.0, _NODE_DOUBT * float(np.median(a_node))]
    equations = np.vstack([np.stack([np.ones(len(networks)), a_node], axis=1), doubt])
    return float(nnls(equations, np.append(profiled_ms / latency_ms, 0.0))[0][1])


def _without_profiling(time_ms: float, nodes: int, node_ms: float) -> float:
    return max(time_ms - nodes * node_ms, _LEAST_SHARE * time_ms)


def _evened(latency_ms: Mapping[OperatorSpec, float], alignment: int) -> dict[OperatorSpec, float]:
    """Latencies as all of them together say, where they do; what the runtime dropped stays nothing."""
    specs = [spec for spec, ms in latency_ms.items() if ms > 0]
    if not specs:
        return dict(latency_ms)
    estimator = Estimator.fit(latency_ms, alignment)
    if not estimator.learnt:
        return dict(latency_ms)
    return {**latency_ms, **dict(zip(specs, estimator.price(specs)[0].tolist(), strict=True))}


def _adding_up(
    networks: Sequence[Measured], latency_ms: Mapping[OperatorSpec, float]
) -> dict[OperatorSpec, float]:
    """Latencies whose sums are the networks', each group of operators by a factor: 1 but for good reason."""
    from scipy.optimize import lsq_linear

    place = {name: index for index, name in enumerate(sorted({group(spec) for spec in latency_ms}))}
    shares = np.zeros((len(networks), len(place)))
    for row, network in zip(shares, networks, strict=True):
        for operator in network.graph:
            row[place[group(operator.spec)]] += latency_ms[operator.spec] / network.latency_ms
    missed = 1 - shares.sum(axis=1)
    noise = _most_likely_noise(shares, missed)
    # A factor that is cut off afterwards would be missing in the sums: the others have to know of it.
    found = lsq_linear(
        np.vstack([shares / noise, np.eye(len(place)) / _GROUP_SPREAD]),
        np.concatenate([missed / noise, np.zeros(len(place))]),
        bounds=(_LEAST_SHARE - 1, np.inf),
    )
    return {spec: ms * float(1 + found.x[place[group(spec)]]) for spec, ms in latency_ms.items()}


def _most_likely_noise(shares: Matrix, missed: Vector) -> float:
    """Of networks around the sum of their operators, by the evidence of what the sums miss."""

    def evidence(noise: float) -> float:
        covariance = _GROUP_SPREAD**2 * shares @ shares.T + noise**2 * np.eye(len(missed))
        return float(-missed @ np.linalg.solve(covariance, missed) - np.linalg.slogdet(covariance)[1])

    return max(_NETWORK_NOISES, key=evidence)

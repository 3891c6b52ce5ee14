"""What was measured: latencies of networks and times of operators in profiles, as linear equations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorGraph, OperatorSpec

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

#: Relative standard deviation of an operator's time in a profile.
_PROFILE_NOISE = 0.15


@dataclass(frozen=True)
class Measured:
    """A network and its latency."""

    graph: OperatorGraph
    latency_ms: float


@dataclass(frozen=True)
class Profiled:
    """Mean times of an operator in the runtime's profiles.

    Attributes:
        time_ms: With the profile's own cost.
        nodes: Nodes that the runtime made of the operator, layout changes included.
    """

    time_ms: float
    nodes: float


class Observations:
    """Linear equations: operators @ latency + fixed @ (offset, profiling cost of a node) = values.

    Args:
        networks: Measured networks.
        profiles: Profile times of some of the operators.
        specs: The operators that are columns; those of the networks at least.

    Attributes:
        operators: How often each operator occurs, shape (equations, operators).
        fixed: Shape (equations, 2).
        values: In ms, shape (equations,).
    """

    def __init__(
        self,
        networks: Sequence[Measured],
        profiles: Mapping[OperatorSpec, Profiled],
        specs: Sequence[OperatorSpec],
    ) -> None:
        # A profile may round a short operator's time to nothing: that says no more about it than silence.
        seen = [place for place, spec in enumerate(specs) if spec in profiles and profiles[spec].time_ms > 0]
        known = [profiles[specs[place]] for place in seen]
        self.operators = np.vstack(
            [count_operators([network.graph for network in networks], specs), np.eye(len(specs))[seen]]
        )
        self.fixed = np.zeros((len(networks) + len(seen), 2))
        self.fixed[: len(networks), 0] = 1.0
        self.fixed[len(networks) :, 1] = [profile.nodes for profile in known]
        self.values = np.array(
            [network.latency_ms for network in networks] + [profile.time_ms for profile in known]
        )

    def noise(self, network_noise: float) -> Vector:
        """Relative standard deviation of each equation, if that of a network is `network_noise`."""
        return np.where(self.fixed[:, 0] > 0, network_noise, _PROFILE_NOISE)


def count_operators(graphs: Iterable[OperatorGraph], specs: Sequence[OperatorSpec]) -> Matrix:
    """How often each network has each operator, shape (networks, operators)."""
    graphs = list(graphs)
    column = {spec: place for place, spec in enumerate(specs)}
    counts = np.zeros((len(graphs), len(specs)))
    for row, graph in enumerate(graphs):
        for spec, count in Counter(operator.spec for operator in graph).items():
            counts[row, column[spec]] = count
    return counts

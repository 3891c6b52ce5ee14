"""From latencies of whole networks to latencies of operators.

An operator takes a few microseconds and cannot be timed on its own: the runtime's profile knows whole
microseconds and adds 1 to 7 us to every node, and a session of one operator is mostly session. A whole
network is timed to 1 %. So the operators' latencies are the solution of a regression over many networks, in
which the profile of a few networks says how the time is shared between operators that always occur together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.observations import Measured, Observations, Profiled
from hwtickets.tables.regression import Regression


@dataclass(frozen=True)
class Fit:
    """Latencies of operators.

    Attributes:
        offset_ms: Latency of a network without operators.
        latency_ms: Of each operator.
        spread_ms: Standard error of each operator's latency.
        noise: Relative standard deviation of networks around the sum of their operators.
    """

    offset_ms: float
    latency_ms: dict[OperatorSpec, float]
    spread_ms: dict[OperatorSpec, float]
    noise: float


def fit_operators(networks: Sequence[Measured], profiles: Mapping[OperatorSpec, Profiled]) -> Fit:
    """Finds the operator latencies that explain the networks.

    Args:
        networks: At least one; every operator that occurs gets a latency.
        profiles: Profile times of some of the operators.
    """
    specs = list(dict.fromkeys(operator.spec for network in networks for operator in network.graph))
    regression = Regression(Observations(networks, profiles, specs), specs)
    return Fit(
        regression.offset_ms,
        dict(zip(specs, regression.latency_ms.tolist(), strict=True)),
        dict(zip(specs, regression.spread_ms.tolist(), strict=True)),
        regression.noise,
    )

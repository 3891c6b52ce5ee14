"""From latencies of whole networks to latencies of operators.

An operator takes a few microseconds and cannot be timed on its own: the runtime's profile knows whole
microseconds and adds 1-2 us to every node, and a session of one operator is mostly session. A whole network
is timed to 1 %. So the operators' latencies are the solution of a regression over many networks, in which
the profile of a few networks says how the time is shared between operators that always occur together.
Operators of one family are alike: each is the formula of its group, plus what its family has in common, plus
its own small deviation (a ridge penalty on each).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.families import formula_terms, group, members, non_decreasing

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

#: Relative standard deviations: of a network's measured latency, of an operator's share in a profile, of a
#: family around its group's formula, and of an operator around its family.
_NETWORK_NOISE = 0.01
_PROFILE_NOISE = 0.15
_FAMILY_SPREAD = 0.5
_OPERATOR_SPREAD = 0.06
#: An operator is never believed to be faster than this share of its group's formula.
_LEAST_SHARE = 0.2
_FEWEST_IN_FAMILY = 3


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


@dataclass(frozen=True)
class Fit:
    """Latencies of operators.

    Attributes:
        offset_ms: Latency of a network without operators.
        latency_ms: Of each operator.
        spread_ms: Standard error of each operator's latency.
    """

    offset_ms: float
    latency_ms: dict[OperatorSpec, float]
    spread_ms: dict[OperatorSpec, float]


def fit_operators(networks: Sequence[Measured], profiles: Mapping[OperatorSpec, Profiled]) -> Fit:
    """Finds the operator latencies that explain the networks.

    Args:
        networks: At least one; every operator that occurs gets a latency.
        profiles: Profile times of some of the operators.
    """
    specs = list(dict.fromkeys(operator.spec for network in networks for operator in network.graph))
    observed = _Observations(networks, profiles, specs)
    formula, offset_ms = _formula(observed, specs)
    deviations, scales = _deviations(specs, formula)
    corrections, covariance = _ridge(observed, formula, offset_ms, deviations, scales)
    latency = formula + deviations @ corrections[2:]
    latency = np.maximum(latency, _LEAST_SHARE * formula)
    variance = np.einsum("ij,jk,ik->i", deviations, covariance[2:, 2:], deviations)
    spread = np.sqrt(np.maximum(variance, 0.0))
    latency = _isotonic(specs, latency, spread)
    return Fit(
        max(0.0, offset_ms + float(corrections[0])),
        dict(zip(specs, latency.tolist(), strict=True)),
        dict(zip(specs, spread.tolist(), strict=True)),
    )


class _Observations:
    """Linear equations: operators @ latency + fixed @ (offset, profiling cost of a node) = values."""

    def __init__(
        self,
        networks: Sequence[Measured],
        profiles: Mapping[OperatorSpec, Profiled],
        specs: Sequence[OperatorSpec],
    ) -> None:
        column = {spec: index for index, spec in enumerate(specs)}
        seen = [spec for spec in specs if spec in profiles]
        rows = len(networks) + len(seen)
        self.operators = np.zeros((rows, len(specs)))
        self.fixed = np.zeros((rows, 2))
        self.values = np.zeros(rows)
        self.noise = np.zeros(rows)
        for index, network in enumerate(networks):
            for spec, count in Counter(operator.spec for operator in network.graph).items():
                self.operators[index, column[spec]] = count
            self.fixed[index, 0] = 1.0
            self.values[index] = network.latency_ms
            self.noise[index] = _NETWORK_NOISE * network.latency_ms
        for index, spec in enumerate(seen, len(networks)):
            self.operators[index, column[spec]] = 1.0
            self.fixed[index, 1] = profiles[spec].nodes
            self.values[index] = profiles[spec].time_ms
            self.noise[index] = _PROFILE_NOISE * profiles[spec].time_ms


def _formula(observed: _Observations, specs: Sequence[OperatorSpec]) -> tuple[Vector, float]:
    """Latency of each operator by its group's formula, and the offset; no coefficient is negative."""
    from scipy.optimize import nnls

    groups = list(dict.fromkeys(group(spec) for spec in specs))
    terms = np.zeros((len(specs), 3 * len(groups)))
    for index, spec in enumerate(specs):
        first = 3 * groups.index(group(spec))
        terms[index, first : first + 3] = formula_terms(spec)
    equations = np.hstack([observed.fixed, observed.operators @ terms]) / observed.noise[:, None]
    size = np.linalg.norm(equations, axis=0)
    size[size == 0] = 1.0
    solution = nnls(equations / size, observed.values / observed.noise)[0] / size
    return terms @ solution[2:], float(solution[0])


def _deviations(specs: Sequence[OperatorSpec], formula: Vector) -> tuple[Matrix, Vector]:
    """How operators may deviate from the formula: with their family (level and slope) and each alone.

    Returns:
        Deviation of each operator for each correction (operators, corrections), and the expected size of the
        corrections; operators that the formula calls free may deviate like the cheapest of the others.
    """
    floor = formula[formula > 0].min() if (formula > 0).any() else 1e-3
    base = np.maximum(formula, floor)
    index = {spec: position for position, spec in enumerate(specs)}
    columns, scales = [np.diag(base)], [np.full(len(specs), _OPERATOR_SPREAD)]
    for entries in members(specs, _FEWEST_IN_FAMILY).values():
        where = [index[spec] for _, spec in entries]
        widths = np.array([width for width, _ in entries], float)
        level, slope = np.zeros((len(specs), 1)), np.zeros((len(specs), 1))
        level[where, 0] = base[where].mean()
        slope[where, 0] = base[where].mean() * (widths / widths.mean() - 1)
        columns += [level, slope]
        scales.append(np.full(2, _FAMILY_SPREAD))
    return np.hstack(columns), np.concatenate(scales)


def _ridge(
    observed: _Observations, formula: Vector, offset_ms: float, deviations: Matrix, scales: Vector
) -> tuple[Vector, Matrix]:
    """Corrections (offset, profiling cost of a node, then the deviations) and their covariance."""
    residual = observed.values - observed.operators @ formula - observed.fixed[:, 0] * offset_ms
    equations = np.hstack([observed.fixed, observed.operators @ deviations]) / observed.noise[:, None]
    penalty = np.concatenate([np.full(2, 1e-6), 1.0 / scales**2])
    precision = equations.T @ equations + np.diag(penalty)
    covariance = np.linalg.inv(precision)
    return covariance @ (equations.T @ (residual / observed.noise)), covariance


def _isotonic(specs: Sequence[OperatorSpec], latency: Vector, spread: Vector) -> Vector:
    """More channels are never faster: each family gets non-decreasing in its width, larger families last."""
    index = {spec: position for position, spec in enumerate(specs)}
    result = latency.copy()
    for entries in sorted(members(specs, _FEWEST_IN_FAMILY).values(), key=len):
        where = [index[spec] for _, spec in entries]
        result[where] = non_decreasing(result[where], 1.0 / np.maximum(spread[where], 1e-9) ** 2)
    return result

"""Networks in numbers, from the operators that they run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwtickets.prediction.features import Features, Matrix, Vector, columns
from hwtickets.space.operators import OperatorSpec

Network = Sequence[OperatorSpec]
_LARGE_KERNEL = 5


def operator_features(networks: Sequence[Network], choices: Matrix | None = None) -> Features:
    """Work and traits of networks that are lists of operators; any space can be described so.

    Args:
        networks: Their operators or blocks, in any order. An operator that the runtime drops is not listed.
        choices: What else adds up, (networks, terms): which option each slot holds, the depth of each stage.

    Returns:
        Work: for each kind of operator how many there are, their multiply-accumulates (millions) and bytes
        (MB), then `choices`. Traits: logarithms of the totals, by which launches and arithmetic hide each
        other, and the three numbers of each kind.
    """
    described = [_by_kind(network) for network in networks]
    kinds = sorted({kind for network in described for kind in network})
    nothing = np.zeros(3)
    table = np.array([[network.get(kind, nothing) for kind in kinds] for network in described])
    table = table.reshape(len(described), len(kinds), 3)
    totals = np.log1p(table.sum(axis=1))
    traits = columns(operators=totals[:, 0], macs=totals[:, 1], bytes=totals[:, 2])
    traits |= {f"kind {kind}": np.log1p(table[:, index]) for index, kind in enumerate(kinds)}
    work = table.reshape(len(described), 3 * len(kinds))
    if choices is None:
        return Features(work, traits)
    return Features(np.hstack([work, choices]), traits | {"choices": choices})


def operator_macs(networks: Sequence[Network]) -> Vector:
    """Multiply-accumulates of each network."""
    return np.array([sum(spec.macs for spec in network) for network in networks], float)


def _by_kind(network: Network) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    for spec in (part for block in network for part in block.parts):
        row = found.setdefault(_kind(spec), np.zeros(3))
        row += (1.0, spec.macs / 1e6, spec.bytes_moved / 1e6)
    return found


def _kind(spec: OperatorSpec) -> str:
    """Operators that one price per multiply-accumulate and per byte can fit."""
    if spec.kind != "conv":
        return spec.kind
    if spec.depthwise:
        return f"depthwise {spec.kernel}"
    size = "1x1" if spec.kernel == 1 else "small" if spec.kernel < _LARGE_KERNEL else "large"
    return f"{'grouped' if spec.groups > 1 else 'dense'} {size}"

"""How much of an error is the measurement's own: nobody can predict that."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.boards.cases import Case, Vector
from hwtickets.prediction.additive import AdditiveModel

#: With fewer repeated measurements nothing is said.
_FEWEST_REPEATED = 20
#: Neighbours in the order of measuring that show the state of the machine, and how much they have to agree
#: with each other before that is believed.
_NEIGHBOURS = 4
_SERIAL = 0.5


@dataclass(frozen=True)
class Noise:
    """Mean error, as a share, of a prediction that knows the true latency.

    Attributes:
        mean_error: The share; None where the measurements do not tell.
        how: From what it was estimated.
    """

    mean_error: float | None
    how: str


def noise_floor(case: Case, fit_share: Vector, test_share: Vector) -> Noise:
    """The floor of one device, by the first of three ways that its measurements allow.

    Args:
        case: The device.
        fit_share: Measured over predicted latency of the networks learnt from.
        test_share: The same of those that were kept back.
    """
    repeated = _repeated(case.fit_ms, case.fit.graphs)
    if len(repeated) >= _FEWEST_REPEATED:
        return Noise(float(repeated.mean()), f"{len(repeated)} networks that share a deployed graph")
    serial = _serial_correlation(fit_share[np.argsort(case.fit.order)])
    if serial >= _SERIAL:
        steady = _steady(case, fit_share, test_share)
        return Noise(
            float(np.abs(1 / steady - 1).mean()),
            f"speed of the machine from networks measured just before and after (correlation {serial:.2f})",
        )
    return Noise(None, "no repeated measurements")


def campaigns(case: Case) -> float | None:
    """Mean error, as a share, of the best straight line from a second campaign to this one."""
    both = np.isfinite(case.twin_ms)
    if both.sum() < _FEWEST_REPEATED:
        return None
    line = AdditiveModel.fit(case.twin_ms[both][:, None], case.fit_ms[both])
    return float(np.abs(line.predict(case.twin_ms[both][:, None]) / case.fit_ms[both] - 1).mean())


def _repeated(latency_ms: Vector, graphs: Sequence[Hashable]) -> Vector:
    """Distance of each repeated measurement from the true latency, by its distance from the others' mean."""
    together: dict[Hashable, list[float]] = {}
    for graph, latency in zip(graphs, latency_ms.tolist(), strict=True):
        together.setdefault(graph, []).append(latency)
    found = [np.array(group) for group in together.values() if len(group) > 1]
    shares = [np.abs(group / group.mean() - 1) * np.sqrt(len(group) / (len(group) - 1)) for group in found]
    return np.concatenate(shares) if shares else np.zeros(0)


def _serial_correlation(share: Vector) -> float:
    """Correlation of each network's share with the next one's, outliers limited."""
    if len(share) <= _FEWEST_REPEATED:
        return 0.0
    limited = np.clip(share - np.median(share), -0.3, 0.3)
    limited = limited - limited.mean()
    variance = float(limited @ limited)
    return float(limited[1:] @ limited[:-1]) / variance if variance > 0 else 0.0


def _steady(case: Case, fit_share: Vector, test_share: Vector) -> Vector:
    """Shares of the tested networks, relative to the machine's speed at the time."""
    place = np.argsort(case.fit.order)
    order, share = case.fit.order[place], fit_share[place]
    first = np.clip(np.searchsorted(order, case.test.order) - _NEIGHBOURS // 2, 0, len(order) - _NEIGHBOURS)
    speed = np.median(share[first[:, None] + np.arange(_NEIGHBOURS)], axis=1)
    return test_share / speed

"""What is predicted: the networks of one device, those that may be learnt from and those that may not."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.prediction import Features

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Networks:
    """Networks of one space, described.

    Attributes:
        features: For the predictor.
        macs: Multiply-accumulates of each, for the baseline.
        terms: Terms of the simple additive baseline, (networks, terms).
        groups: Networks of one group are alike: what is held out is a whole group.
        graphs: Networks of one graph are the same work, so their latencies are one measurement repeated.
        order: Place of each in the order of measuring.
    """

    features: Features
    macs: Vector
    terms: Matrix
    groups: Sequence[Hashable]
    graphs: Sequence[Hashable]
    order: Vector

    def rows(self, index: NDArray[Any]) -> Networks:
        """Some of the networks."""
        places = np.arange(len(self.macs))[index]
        return replace(
            self,
            features=self.features.rows(places),
            macs=self.macs[places],
            terms=self.terms[places],
            groups=[self.groups[place] for place in places],
            graphs=[self.graphs[place] for place in places],
            order=self.order[places],
        )


@dataclass(frozen=True)
class Case:
    """One device.

    Attributes:
        device: Unique, e.g. "nb201_edge/jetson_nano_fp32".
        fit: Networks to learn from, and
        fit_ms: their latencies.
        test: Networks to predict, and
        test_ms: their latencies.
        twin_ms: Of the networks of `fit`, what a second campaign on the same kind of device measured (NaN
            where it did not); empty if there was none.
        remark: What the reader should know of the measurements.
    """

    device: str
    fit: Networks
    fit_ms: Vector
    test: Networks
    test_ms: Vector
    twin_ms: Vector
    remark: str = ""


def case(
    device: str,
    networks: Sequence[Networks],
    latencies_ms: Sequence[Vector],
    least_ms: float = 0.0,
    twin_ms: Vector | None = None,
    remark: str = "",
) -> Case:
    """A device from both sides, to learn from and to predict; networks of at least `least_ms` are kept."""
    there = [np.isfinite(latency_ms) & (latency_ms >= least_ms) for latency_ms in latencies_ms]
    (fit, fit_ms), (test, test_ms) = (
        (part.rows(kept), latency_ms[kept])
        for part, latency_ms, kept in zip(networks, latencies_ms, there, strict=True)
    )
    twin = np.zeros(0) if twin_ms is None else twin_ms[there[0]]
    return Case(device, fit, fit_ms, test, test_ms, twin, remark)

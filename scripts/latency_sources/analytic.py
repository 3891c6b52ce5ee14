"""Calibrated analytic tables: a roofline fitted to whole networks, with its error on networks left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.accuracy import accuracy
from hwtickets.tables.roofline import Roofline
from hwtickets.tables.roofline_fit import RooflineFit, Sample, fit_roofline
from hwtickets.tables.table import Calibration, LatencyTable

#: Folds for sets of networks that are too many to be left out one at a time.
_FOLDS = 10
_MOST_LEFT_OUT = 60
_DIGITS = 5


@dataclass(frozen=True)
class Network:
    """A network that was timed: its operators, its latency, and which kind of network it is."""

    name: str
    specs: Sequence[OperatorSpec]
    latency_ms: float
    family: str = ""

    @property
    def sample(self) -> Sample:
        """For the fit."""
        return Sample(self.specs, self.latency_ms)


def analytic_table(
    device: str,
    runtime: str,
    precision: str,
    networks: Sequence[Network],
    fingerprint: Mapping[str, str],
    origin: dict[str, object],
    alignment: int = 8,
) -> LatencyTable:
    """Fits the networks and states the error on networks left out."""
    fit = fit_roofline([network.sample for network in networks], alignment, offset=True)
    predicted_ms = _left_out(networks, alignment)
    measured_ms = np.array([network.latency_ms for network in networks])
    misses = np.abs(predicted_ms / measured_ms - 1)
    error = {key: round(value, 4) for key, value in accuracy(predicted_ms, measured_ms).items()}
    roofline = replace(
        fit.roofline,
        error_share=float(np.quantile(misses, 2 / 3)),
        unseen_error_share=max(1.0, 2 * float(np.quantile(misses, 0.9))),
    )
    return LatencyTable(
        device=device,
        runtime=runtime,
        precision=precision,
        batch=1,
        alignment=alignment,
        fingerprint={**fingerprint, "device": device, "precision": precision},
        rows={},
        calibration=Calibration(offset_ms=_rounded(fit.offset_ms)),
        error={**error, "networks": len(networks), **_by_family(networks, misses)},
        provenance=origin,
        roofline=_shortened(roofline),
    )


def _left_out(networks: Sequence[Network], alignment: int) -> np.ndarray:
    """Each network predicted by a fit that has not seen it (nor, of a large set, the others of its fold)."""
    predicted_ms = np.zeros(len(networks))
    for fold in _folds(networks):
        outside = [network.sample for index, network in enumerate(networks) if index not in fold]
        fit = fit_roofline(outside, alignment, offset=True)
        for index in fold:
            predicted_ms[index] = predict(fit, networks[index].specs)
    return predicted_ms


def _folds(networks: Sequence[Network]) -> list[set[int]]:
    folds: list[set[int]] = []
    for family in dict.fromkeys(network.family for network in networks):
        inside = [index for index, network in enumerate(networks) if network.family == family]
        if len(inside) <= _MOST_LEFT_OUT:
            folds += [{index} for index in inside]
            continue
        order = np.random.default_rng(0).permutation(inside)
        folds += [set(part.tolist()) for part in np.array_split(order, _FOLDS)]
    return folds


def predict(fit: RooflineFit, specs: Sequence[OperatorSpec]) -> float:
    """Latency of a network, in ms."""
    return fit.offset_ms + float(fit.roofline.price(specs)[0].sum())


def _by_family(networks: Sequence[Network], misses: np.ndarray) -> dict[str, float]:
    """Median error of each kind of network, where there are several."""
    families = list(dict.fromkeys(network.family for network in networks))
    if len(families) < 2:
        return {}
    found = {}
    for family in families:
        inside = [index for index, network in enumerate(networks) if network.family == family]
        found[f"{family}_median_error"] = round(float(np.median(misses[inside])), 4)
        found[f"{family}_networks"] = len(inside)
    return found


def _shortened(roofline: Roofline) -> Roofline:
    """Five significant digits: more would only make the file longer."""

    def shorten(value: object) -> object:
        if isinstance(value, dict):
            return {key: shorten(entry) for key, entry in value.items()}
        return _rounded(value) if isinstance(value, float) else value

    return Roofline.from_dict({key: shorten(value) for key, value in roofline.as_dict().items()})


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

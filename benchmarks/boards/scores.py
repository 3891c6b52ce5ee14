"""Errors of the predictor and of the baselines on networks that were kept back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.boards.cases import Case, Matrix, Vector
from benchmarks.boards.noise import campaigns, noise_floor
from hwtickets.prediction import WholeNetworkPredictor
from hwtickets.tables.accuracy import accuracy

SCORES = ("median_error", "mean_error", "within_5", "within_10", "kendall_tau")


def evaluate(case: Case) -> dict[str, Any]:
    """Everything that is said of one device; shares and not percentages."""
    predictor = WholeNetworkPredictor.fit(case.fit.features, case.fit_ms, case.fit.groups)
    predicted_ms, expected = predictor.predict(case.test.features)
    learnt_ms, _ = predictor.predict(case.fit.features)
    noise = noise_floor(case, case.fit_ms / learnt_ms, case.test_ms / predicted_ms)
    macs_ms = straight_line(case.fit.macs[:, None], case.fit_ms, case.test.macs[:, None])
    additive_ms = straight_line(case.fit.terms, case.fit_ms, case.test.terms)
    return {
        "device": case.device,
        "n": len(case.test_ms),
        "fit_n": len(case.fit_ms),
        **scores(predicted_ms, case.test_ms),
        **{f"macs_{name}": value for name, value in scores(macs_ms, case.test_ms).items()},
        **{f"additive_{name}": value for name, value in scores(additive_ms, case.test_ms).items()},
        **trust(predicted_ms, case.test_ms, expected),
        "model": "sum and residual" if predictor.residual else "sum",
        "noise_floor": noise.mean_error,
        "noise_floor_how": noise.how,
        "campaigns_mean_error": campaigns(case),
        "remark": case.remark,
    }


def scores(predicted_ms: Vector, measured_ms: Vector) -> dict[str, float | None]:
    """The agreed scores of one predictor; a single network has no order, so no tau."""
    if len(measured_ms) == 1:
        return scores(np.repeat(predicted_ms, 2), np.repeat(measured_ms, 2)) | {"kendall_tau": None}
    found = accuracy(predicted_ms, measured_ms)
    return {name: found[name] for name in SCORES}


def trust(predicted_ms: Vector, measured_ms: Vector, expected: Vector) -> dict[str, float]:
    """What the predictor expected its errors to be, and the share of errors that were no larger."""
    inside = np.abs(predicted_ms / measured_ms - 1) <= expected
    return {"expected_error": float(np.median(expected)), "inside_expected": float(inside.mean())}


def straight_line(terms: Matrix, latency_ms: Vector, asked: Matrix) -> Vector:
    """Baseline: the least squares of relative errors, a fixed cost and a price for each term."""
    size = np.maximum(np.abs(terms).max(axis=0, initial=0.0), 1e-12)
    known = np.hstack([np.ones((len(terms), 1)), terms / size]) / latency_ms[:, None]
    prices = np.linalg.lstsq(known, np.ones(len(known)), rcond=None)[0]
    predicted: Vector = np.hstack([np.ones((len(asked), 1)), asked / size]) @ prices
    return np.maximum(predicted, 1e-9)


def pooled(parts: Sequence[tuple[Vector, ...]]) -> dict[str, Any]:
    """Scores over several devices at once; tau is the mean of the devices'.

    Args:
        parts: For each device measured, predicted, by MACs, by the additive model, expected errors.
    """
    measured, predicted, macs, additive, expected = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    result: dict[str, Any] = {"n": len(measured)}
    for place, (prefix, values) in enumerate(
        {"": predicted, "macs_": macs, "additive_": additive}.items(), 1
    ):
        found = scores(values, measured)
        taus = [scores(part[place], part[0])["kendall_tau"] for part in parts]
        found["kendall_tau"] = float(np.mean([tau for tau in taus if tau is not None] or [0.0]))
        result |= {f"{prefix}{key}": value for key, value in found.items()}
    return {**result, **trust(predicted, measured, expected)}

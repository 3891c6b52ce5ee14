"""How well a predictor of latency does on networks that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.table import LatencyTable

Vector = NDArray[np.float64]


def accuracy(predicted_ms: Vector, measured_ms: Vector) -> dict[str, float]:
    """Errors of predictions as shares of the measurements, and the agreement of the ranking.

    Returns:
        "median_error", "mean_error", "p90_error", "within_5", "within_10" (shares of the networks), and of
        two networks or more "kendall_tau".
    """
    from scipy.stats import kendalltau

    error = np.abs(predicted_ms / measured_ms - 1)
    found = {
        "median_error": float(np.median(error)),
        "mean_error": float(error.mean()),
        "p90_error": float(np.percentile(error, 90)),
        "within_5": float((error <= 0.05).mean()),
        "within_10": float((error <= 0.10).mean()),
    }
    if len(measured_ms) < 2:
        return found
    tau = float(kendalltau(predicted_ms, measured_ms).statistic)
    return {**found, "kendall_tau": tau if np.isfinite(tau) else 0.0}


def table_accuracy(
    table: LatencyTable, graphs: Sequence[OperatorGraph], measured_ms: Vector
) -> dict[str, float]:
    """Accuracy of a table on measured networks."""
    return accuracy(np.array([table.predict(graph).ms for graph in graphs]), measured_ms)


def macs_accuracy(
    fit_graphs: Sequence[OperatorGraph], fit_ms: Vector, graphs: Sequence[OperatorGraph], measured_ms: Vector
) -> dict[str, float]:
    """Accuracy of the best straight line through MACs, for comparison; keys begin with "macs_"."""
    known, asked = (np.array([[1.0, graph.macs / 1e6] for graph in part]) for part in (fit_graphs, graphs))
    # Networks that all have the same MACs say nothing of a slope: the shortest solution is taken.
    line = np.linalg.lstsq(known / fit_ms[:, None], np.ones(len(known)), rcond=None)[0]
    predicted = np.maximum(asked @ line, 1e-9)
    return {f"macs_{key}": value for key, value in accuracy(predicted, measured_ms).items()}

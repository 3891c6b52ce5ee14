from __future__ import annotations

import numpy as np
import pytest

from hwtickets.tables.accuracy import accuracy, macs_accuracy
from hwtickets.tables.sampling import Space, sampled_networks


def test_perfect_predictions_have_no_error() -> None:
    measured = np.array([1.0, 2.0, 3.0])
    assert accuracy(measured, measured) == {
        "median_error": 0.0,
        "mean_error": 0.0,
        "p90_error": 0.0,
        "within_5": 1.0,
        "within_10": 1.0,
        "kendall_tau": 1.0,
    }


def test_errors_are_shares_of_the_measurement() -> None:
    found = accuracy(np.array([1.07, 2.0, 2.0, 5.0]), np.array([1.0, 2.0, 4.0, 5.0]))
    assert (found["within_5"], found["within_10"]) == (0.5, 0.75)
    assert found["mean_error"] == pytest.approx(0.57 / 4)
    assert found["kendall_tau"] < 1


def test_a_prediction_that_is_the_same_for_all_has_no_rank_agreement() -> None:
    assert accuracy(np.ones(4), np.arange(1.0, 5.0))["kendall_tau"] == 0.0


def test_one_network_has_no_rank() -> None:
    found = accuracy(np.array([1.0]), np.array([2.0]))
    assert found["median_error"] == 0.5 and "kendall_tau" not in found


def test_macs_predict_a_machine_whose_time_is_macs(space: Space) -> None:
    graphs = sampled_networks(space, 8, 20, seed=0)
    measured = np.array([0.01 + graph.macs / 1e8 for graph in graphs])
    assert macs_accuracy(graphs[:10], measured[:10], graphs[10:], measured[10:])["macs_mean_error"] < 1e-6


@pytest.mark.filterwarnings("error")
def test_networks_of_the_same_macs_say_nothing_of_a_slope(space: Space) -> None:
    graphs = [space.graph(space.dense())] * 4
    measured = np.array([1.0, 1.0, 1.0, 1.0])
    assert macs_accuracy(graphs[:2], measured[:2], graphs[2:], measured[2:])["macs_mean_error"] < 1e-6

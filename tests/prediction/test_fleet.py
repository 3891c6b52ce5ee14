from __future__ import annotations

import numpy as np
import pytest

from hwtickets.errors import UsageError
from hwtickets.prediction import Fleet


def fleet(runs: int, seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Latencies of 8 networks; each run has a speed, and one of its own for the second half of them."""
    random = np.random.default_rng(seed)
    size = np.linspace(0, 2, 8)
    other = (np.arange(8) >= 4).astype(float)
    logs = size + random.normal(0, 1, (runs, 1)) + random.normal(0, 0.5, (runs, 1)) * other
    latency_ms = np.exp(logs + random.normal(0, 0.02, logs.shape))
    return latency_ms, ["cpu"] * runs, np.stack([size, other], axis=1)


def test_a_network_that_a_device_has_not_run_is_told_by_the_others() -> None:
    latency_ms, kinds, traits = fleet(60)
    shown = latency_ms.copy()
    shown[0, [1, 6]] = np.nan
    predicted_ms, expected = Fleet.fit(shown, kinds, traits).predict(shown, kinds)
    assert predicted_ms[0, [1, 6]] == pytest.approx(latency_ms[0, [1, 6]], rel=0.15)
    assert (expected[0, [1, 6]] > 0).all() and (expected[0, [1, 6]] < 0.3).all()


def test_what_was_measured_stays_and_is_certain() -> None:
    latency_ms, kinds, traits = fleet(20)
    predicted_ms, expected = Fleet.fit(latency_ms, kinds, traits).predict(latency_ms, kinds)
    assert predicted_ms == pytest.approx(latency_ms)
    assert (expected == 0).all()


def test_a_new_board_with_two_networks_is_completed() -> None:
    latency_ms, kinds, traits = fleet(60)
    board = np.full((1, 8), np.nan)
    board[0, [0, 7]] = latency_ms[0, [0, 7]]
    predicted_ms, _ = Fleet.fit(latency_ms[1:], kinds[1:], traits).predict(board, ["cpu"])
    assert predicted_ms[0] == pytest.approx(latency_ms[0], rel=0.25)


def test_kinds_of_runs_do_not_mix() -> None:
    latency_ms, _, traits = fleet(40)
    latency_ms[20:, 4:] *= 100
    kinds = ["cpu"] * 20 + ["gpu"] * 20
    shown = latency_ms.copy()
    shown[[0, 39], 6] = np.nan
    predicted_ms, _ = Fleet.fit(shown, kinds, traits).predict(shown, kinds)
    assert predicted_ms[[0, 39], 6] == pytest.approx(latency_ms[[0, 39], 6], rel=0.3)


def test_a_network_that_nobody_has_run_and_a_run_without_any_get_an_answer() -> None:
    latency_ms, kinds, traits = fleet(10)
    latency_ms[:, 3] = np.nan
    latency_ms[4] = np.nan
    predicted_ms, expected = Fleet.fit(latency_ms, kinds, traits).predict(latency_ms, kinds)
    assert (predicted_ms > 0).all() and np.isfinite(expected).all()


def test_the_expected_error_holds_two_in_three() -> None:
    latency_ms, kinds, traits = fleet(80)
    hidden = np.random.default_rng(1).random(latency_ms.shape) < 0.3
    shown = np.where(hidden, np.nan, latency_ms)
    predicted_ms, expected = Fleet.fit(shown, kinds, traits).predict(shown, kinds)
    inside = np.abs(predicted_ms[hidden] / latency_ms[hidden] - 1) <= expected[hidden]
    assert 0.5 < inside.mean() < 0.85


def test_a_kind_of_run_that_nobody_has_seen_is_refused() -> None:
    latency_ms, kinds, traits = fleet(5)
    with pytest.raises(UsageError, match="unknown kind of run 'npu'"):
        Fleet.fit(latency_ms, kinds, traits).predict(latency_ms[:1], ["npu"])


@pytest.mark.parametrize("wrong", [np.zeros((3, 8)), np.ones((2, 8)), np.full((3, 8), np.nan)])
def test_wrong_tables_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match="a fleet needs"):
        Fleet.fit(wrong, ["cpu"] * 3, np.ones((8, 1)))

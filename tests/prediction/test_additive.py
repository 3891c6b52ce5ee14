from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.prediction.additive import AdditiveModel


def made(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Work of networks and the latencies of a device that adds up: 2 ms, then 1, 0.5 and 0 ms a unit."""
    work = np.random.default_rng(seed).integers(0, 6, (count, 3)).astype(float)
    return work, 2.0 + work @ np.array([1.0, 0.5, 0.0])


def test_prices_are_recovered() -> None:
    model = AdditiveModel.fit(*made(100))
    assert model.offset_ms == pytest.approx(2, rel=1e-2)
    assert model.price_ms == pytest.approx([1, 0.5, 0], abs=1e-2)


def test_networks_measured_on_a_busy_machine_do_not_draw_the_prices() -> None:
    work, latency_ms = made(100)
    latency_ms[::10] *= 3
    assert AdditiveModel.fit(work, latency_ms).price_ms == pytest.approx([1, 0.5, 0], abs=0.02)


def test_of_terms_that_explain_the_same_the_more_frequent_one_is_believed() -> None:
    random = np.random.default_rng(1)
    rare = (random.random(200) < 0.2) * random.integers(1, 5, 200)
    common = random.integers(1, 5, 200) + rare
    model = AdditiveModel.fit(
        np.stack([common, common - rare, rare], axis=1).astype(float), 1.0 + 2.0 * common
    )
    everywhere, _, seldom = model.price_ms
    assert everywhere > 1.2 and seldom < 0.8 and everywhere + seldom == pytest.approx(2, rel=0.05)


def with_a_rare_term(count: int, price_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """As `made` with some noise, but three of the networks have one of another term."""
    work, latency_ms = made(count)
    rare = np.zeros(count)
    rare[[5, 50, 150]] = 1.0
    noise = np.random.default_rng(1).normal(1.0, 0.02, count)
    return np.column_stack([work, rare]), (latency_ms + price_ms * rare) * noise


def test_a_weaker_penalty_believes_what_a_few_networks_say() -> None:
    work, latency_ms = with_a_rare_term(600, 3.0)
    assert AdditiveModel.fit(work, latency_ms).price_ms[3] < 2
    assert AdditiveModel.fit(work, latency_ms, 1e-5).price_ms[3] == pytest.approx(3, rel=0.1)


def _scattering(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Work, true and measured latencies of a device that is 2.5 % fast or 1.5 % slow, whatever runs."""
    work, true_ms = made(60, seed)
    random = np.random.default_rng(seed + 100)
    turn = np.where(random.random(60) < 0.4, 0.975, 1.015)
    return work, true_ms, true_ms * turn * random.normal(1.0, 0.005, 60)


def test_times_that_scatter_whatever_runs_are_averaged() -> None:
    errors: dict[float, list[float]] = {0.003: [], 0.05: []}
    for seed in range(20):
        work, true_ms, measured_ms = _scattering(seed)
        for reach, found in errors.items():
            share = AdditiveModel.fit(work, measured_ms, 1e-5, reach).predict(work) / true_ms
            found.append(float(np.std(share)))
    assert np.mean(errors[0.05]) < 0.8 * np.mean(errors[0.003])


def test_predictions_have_the_least_mean_error_on_what_was_learnt() -> None:
    work, _, measured_ms = _scattering(0)
    share = AdditiveModel.fit(work, measured_ms, reach=0.05).predict(work) / measured_ms
    errors = [np.abs(factor * share - 1).mean() for factor in (0.99, 1.0, 1.01)]
    assert errors[1] == min(errors)


def test_leverage_is_large_where_nothing_was_measured() -> None:
    work, latency_ms = made(100)
    work[:, 2] = 0
    model = AdditiveModel.fit(work, latency_ms)
    known, unknown = model.leverage(np.array([[3.0, 3.0, 0.0], [3.0, 3.0, 5.0]]))
    assert known < 0.1 < 1 < unknown


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 4), st.integers(0, 9))
def test_no_price_and_no_prediction_is_negative(count: int, terms: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    model = AdditiveModel.fit(random.random((count, terms)), random.random(count) + 0.1)
    assert model.offset_ms >= 0 and (model.price_ms >= 0).all()
    assert (model.predict(10 * random.random((5, terms))) > 0).all()
    assert np.isfinite(model.leverage(random.random((5, terms)))).all()

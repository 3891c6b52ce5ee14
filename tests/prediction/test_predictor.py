from __future__ import annotations

import numpy as np
import pytest

from hwtickets.errors import UsageError
from hwtickets.prediction import Features, WholeNetworkPredictor


def networks(count: int, seed: int) -> Features:
    random = np.random.default_rng(seed)
    work = random.integers(0, 6, (count, 3)).astype(float)
    return Features(work, {"depth": random.integers(1, 8, (count, 1)).astype(float), "work": work})


def additive_ms(features: Features, seed: int, noise: float = 0.02) -> np.ndarray:
    latency_ms = 2.0 + features.work @ np.array([1.0, 0.5, 0.2])
    return latency_ms * (1 + np.random.default_rng(seed).normal(0, noise, len(features)))


def launch_bound_ms(features: Features, seed: int) -> np.ndarray:
    """The longer of launches and arithmetic: no sum."""
    launches = 1.5 * features.traits["depth"][:, 0]
    return np.maximum(launches, additive_ms(features, seed, 0.0)) * (
        1 + np.random.default_rng(seed).normal(0, 0.01, len(features))
    )


def error(predictor: WholeNetworkPredictor, features: Features, measured_ms: np.ndarray) -> float:
    return float(np.abs(predictor.predict(features)[0] / measured_ms - 1).mean())


def test_a_residual_is_not_used_where_it_does_not_win() -> None:
    features = networks(150, 0)
    predictor = WholeNetworkPredictor.fit(features, additive_ms(features, 1))
    assert predictor.residual is None
    assert predictor.judged is not None and predictor.judged.residual is not None
    unseen = networks(100, 2)
    assert error(predictor, unseen, additive_ms(unseen, 3)) < 0.025


def test_a_residual_is_used_where_a_sum_is_wrong() -> None:
    features, unseen = networks(300, 0), networks(200, 2)
    predictor = WholeNetworkPredictor.fit(features, launch_bound_ms(features, 1))
    assert predictor.residual is not None and predictor.judged is not None
    truth_ms = launch_bound_ms(unseen, 3)
    alone = float(np.abs(predictor.additive.predict(unseen.work) / truth_ms - 1).mean())
    assert error(predictor, unseen, truth_ms) < 0.5 * alone


@pytest.mark.parametrize("price_ms", [0.0, 4.0])
def test_what_rare_networks_pay_is_found_and_nothing_is_made_up(price_ms: float) -> None:
    features, unseen = networks(1200, 0), networks(300, 2)
    rare, tested = (np.arange(count) % 100 == 7 for count in (1200, 300))
    wide, shown = (
        Features(np.column_stack([part.work, seldom]), {})
        for part, seldom in ((features, rare), (unseen, tested))
    )
    predictor = WholeNetworkPredictor.fit(wide, additive_ms(features, 1) + price_ms * rare)
    truth_ms = additive_ms(unseen, 3, 0.0) + price_ms * tested
    assert error(predictor, shown, truth_ms) < 0.005
    assert float(predictor.additive.price_ms[3]) == pytest.approx(price_ms, abs=0.3)


def test_two_in_three_are_nearer_than_the_expected_error() -> None:
    features, unseen = networks(300, 0), networks(400, 2)
    predictor = WholeNetworkPredictor.fit(features, additive_ms(features, 1, 0.05))
    predicted_ms, expected = predictor.predict(unseen)
    inside = np.abs(predicted_ms / additive_ms(unseen, 3, 0.05) - 1) <= expected
    assert 0.57 < inside.mean() < 0.77


def test_the_same_seed_gives_the_same_answer() -> None:
    features, unseen = networks(120, 0), networks(20, 2)
    first, second = (
        WholeNetworkPredictor.fit(features, launch_bound_ms(features, 1), seed=5).predict(unseen)
        for _ in range(2)
    )
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_predictions_are_positive_far_outside_the_fit() -> None:
    features = networks(120, 0)
    predictor = WholeNetworkPredictor.fit(features, launch_bound_ms(features, 1))
    far = Features(
        np.array([[0.0, 0.0, 0.0], [500.0, 500.0, 500.0]]),
        {"depth": np.array([[0.0], [900.0]]), "work": np.array([[0.0] * 3, [500.0] * 3])},
    )
    predicted_ms, expected = predictor.predict(far)
    assert (predicted_ms > 0).all() and predicted_ms[1] > predicted_ms[0]
    assert (expected > 0).all() and np.isfinite(expected).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_networks_is_enough_for_an_answer(count: int) -> None:
    features = networks(count, 0)
    predicted_ms, expected = WholeNetworkPredictor.fit(features, additive_ms(features, 1)).predict(
        networks(3, 2)
    )
    assert (predicted_ms > 0).all() and (expected > 0).all()


def test_one_network_says_nothing_of_others() -> None:
    features = networks(1, 0)
    predictor = WholeNetworkPredictor.fit(features, np.array([5.0]))
    assert predictor.judged is None
    assert predictor.predict(features)[1][0] >= 1


def test_constant_latencies_are_predicted() -> None:
    features = networks(80, 0)
    predictor = WholeNetworkPredictor.fit(features, np.full(80, 4.0))
    assert predictor.predict(networks(5, 2))[0] == pytest.approx(4.0, rel=1e-2)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_a_wrong_latency_is_refused(wrong: float) -> None:
    with pytest.raises(UsageError, match="positive number of milliseconds"):
        WholeNetworkPredictor.fit(networks(2, 0), np.array([1.0, wrong]))


def test_networks_and_latencies_have_to_agree() -> None:
    with pytest.raises(UsageError, match="2 networks and 3 latencies"):
        WholeNetworkPredictor.fit(networks(2, 0), np.ones(3))


@pytest.mark.parametrize("seed", range(4))
def test_what_a_single_network_says_of_a_term_is_believed(seed: int) -> None:
    random = np.random.default_rng(seed)
    work = np.column_stack([random.integers(0, 6, (400, 3)), np.zeros(400)]).astype(float)
    work[17, 3] = 1.0
    latency_ms = (2.0 + work @ np.array([1.0, 0.5, 0.2, 3.0])) * random.normal(1.0, 0.01, 400)
    found = WholeNetworkPredictor.fit(Features(work, {}), latency_ms, seed=seed)
    assert found.additive.price_ms[3] == pytest.approx(3.0, rel=0.15)

from __future__ import annotations

import numpy as np
import pytest

from hwtickets.prediction.residual import ResidualModel


def wave(count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A residual that bends with one trait and knows nothing of another."""
    random = np.random.default_rng(seed)
    traits = {"bends": random.uniform(-2, 2, (count, 1)), "idle": random.normal(size=(count, 2))}
    return traits, 0.1 * np.sin(2 * traits["bends"][:, 0])


def test_a_smooth_residual_is_learnt_between_the_points() -> None:
    traits, share = wave(200, 0)
    model = ResidualModel.fit(traits, share + np.random.default_rng(2).normal(0, 0.002, 200))
    unseen, truth = wave(50, 1)
    predicted, deviation = model.predict(unseen)
    assert np.abs(predicted - truth).mean() < 0.01
    assert (deviation > 0).all()
    assert model.settings.relevance["bends"] > model.settings.relevance["idle"]


def test_outliers_count_little() -> None:
    traits, share = wave(200, 0)
    share[::20] += 1
    unseen, truth = wave(50, 1)
    predicted, _ = ResidualModel.fit(traits, share).predict(unseen)
    assert np.abs(predicted - truth).mean() < 0.03


def test_it_is_unsure_far_from_what_was_measured() -> None:
    traits, share = wave(200, 0)
    model = ResidualModel.fit(traits, share + np.random.default_rng(2).normal(0, 0.002, 200))
    far = {"bends": np.array([[0.0], [20.0]]), "idle": np.zeros((2, 2))}
    near_deviation, far_deviation = model.predict(far)[1]
    assert far_deviation > 3 * near_deviation


def test_many_networks_are_represented_by_some() -> None:
    traits, share = wave(2000, 0)
    unseen, truth = wave(50, 1)
    predicted, _ = ResidualModel.fit(traits, share).predict(unseen)
    assert np.abs(predicted - truth).mean() < 0.01


def test_a_trait_that_stops_varying_is_left_out() -> None:
    traits, share = wave(100, 0)
    model = ResidualModel.fit(traits, share)
    fixed = {**traits, "idle": np.zeros((100, 2))}
    again = ResidualModel.fit(fixed, share, model.settings)
    assert again.predict(fixed)[0] == pytest.approx(share, abs=0.02)


def test_constant_traits_and_no_residual_are_no_error() -> None:
    traits = {"idle": np.ones((70, 2))}
    predicted, deviation = ResidualModel.fit(traits, np.zeros(70)).predict(traits)
    assert (predicted == 0).all() and np.isfinite(deviation).all()

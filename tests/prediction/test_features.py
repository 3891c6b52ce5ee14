from __future__ import annotations

import numpy as np
import pytest

from hwtickets.errors import UsageError
from hwtickets.prediction import Features
from hwtickets.prediction.features import indicators


def test_rows_are_taken_from_work_and_traits() -> None:
    features = Features(np.arange(6.0).reshape(3, 2), {"depth": np.arange(3.0)[:, None]})
    assert features.rows(np.array([2, 0])).work.tolist() == [[4, 5], [0, 1]]
    assert features.rows(np.array([True, False, True])).traits["depth"].tolist() == [[0], [2]]


@pytest.mark.parametrize(
    ("work", "trait", "wrong"),
    [
        (np.ones((3, 1)), np.ones((2, 1)), "'depth' has shape"),
        (np.full((3, 1), np.nan), np.ones((3, 1)), "'work' holds a value that is not finite"),
        (np.full((3, 1), -1.0), np.ones((3, 1)), "work is negative"),
    ],
)
def test_wrong_features_are_refused(work: np.ndarray, trait: np.ndarray, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        Features(work, {"depth": trait})


def test_indicators_mark_the_option_of_each_slot() -> None:
    assert indicators([["a", "b"], ["c", "a"]], ("a", "b")).tolist() == [[1, 0, 0, 1], [0, 0, 1, 0]]
    assert indicators([], ("a", "b")).shape == (0, 0)

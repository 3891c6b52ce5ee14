from __future__ import annotations

import numpy as np

from hwtickets.prediction.operators import operator_features, operator_macs
from hwtickets.space.operators import OperatorSpec

CONV = OperatorSpec("conv", 16, 32, 3, 1, 1, 8, 8)
POINTWISE = OperatorSpec("conv", 32, 16, 1, 1, 1, 8, 8)
DEPTHWISE = OperatorSpec("conv", 32, 32, 3, 1, 32, 8, 8)


def test_the_order_of_the_operators_does_not_matter() -> None:
    both = operator_features([[CONV, DEPTHWISE, POINTWISE], [POINTWISE, CONV, DEPTHWISE]])
    assert np.array_equal(both.work[0], both.work[1])


def test_each_kind_has_its_number_arithmetic_and_traffic() -> None:
    features = operator_features([[CONV, CONV, DEPTHWISE], [POINTWISE]])
    assert features.work.shape == (2, 9)
    columns = features.work.sum(axis=0).reshape(3, 3)
    expected = sorted([2 * CONV.macs / 1e6, DEPTHWISE.macs / 1e6, POINTWISE.macs / 1e6])
    assert sorted(columns[:, 0].tolist()) == [1, 1, 2]
    assert np.allclose(sorted(columns[:, 1].tolist()), expected)
    assert operator_macs([[CONV, CONV], []]).tolist() == [2 * CONV.macs, 0]


def test_choices_are_further_terms() -> None:
    features = operator_features([[CONV], [CONV]], np.array([[1.0], [0.0]]))
    assert features.work[:, -1].tolist() == [1, 0]
    assert features.traits["choices"].tolist() == [[1], [0]]

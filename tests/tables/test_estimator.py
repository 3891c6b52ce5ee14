from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.estimator import Estimator


def _specs(count: int, seed: int) -> list[OperatorSpec]:
    random = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        c_in, c_out = (8 * random.integers(1, 40, 2)).tolist()
        pixels, kernel = int(random.choice([7, 14, 28])), int(random.choice([1, 3]))
        spec = OperatorSpec("conv", c_in, c_out, kernel, 1, 1, pixels, pixels)
        if spec not in found:
            found.append(spec)
    return found


def _latency_ms(spec: OperatorSpec) -> float:
    """A runtime that has a slow kernel for one image side."""
    return (0.01 + spec.macs / 1e9 + spec.bytes_moved / 1e8) * (2.0 if spec.height == 14 else 1.0)


def _error(estimator: Estimator, specs: list[OperatorSpec]) -> float:
    predicted = estimator.price(specs)[0]
    return float(np.median(np.abs(predicted / [_latency_ms(spec) for spec in specs] - 1)))


def test_rows_correct_the_formula_where_it_is_wrong() -> None:
    estimator = Estimator.fit({spec: _latency_ms(spec) for spec in _specs(150, 0)}, alignment=8)
    slow = [spec for spec in _specs(80, 1) if spec.height == 14]
    formula = replace(estimator, residual=None)
    assert estimator.learnt
    assert _error(estimator, slow) < 0.05
    assert _error(formula, slow) > 0.2


def test_expected_errors_hold_for_two_in_three() -> None:
    estimator = Estimator.fit({spec: _latency_ms(spec) for spec in _specs(60, 2)}, alignment=8)
    unseen = _specs(80, 3)
    ms, error_share = estimator.price(unseen)
    inside = np.abs(ms / [_latency_ms(spec) for spec in unseen] - 1) <= error_share
    assert inside.mean() > 0.55


def test_a_few_rows_make_a_formula_with_the_error_of_its_own_held_out_rows() -> None:
    specs = [OperatorSpec("conv", 16 * n, 16 * n, height=8, width=8) for n in range(1, 6)]
    estimator = Estimator.fit({spec: _latency_ms(spec) for spec in specs}, alignment=8)
    assert not estimator.learnt
    assert estimator.roofline.error_share >= 0.1


def test_a_kind_that_no_row_has_is_priced_with_much_doubt() -> None:
    estimator = Estimator.fit({spec: _latency_ms(spec) for spec in _specs(40, 4)}, alignment=8)
    ms, error_share = estimator.price([OperatorSpec("pool", 64, 64, height=7, width=7)])
    assert ms[0] > 0
    assert error_share[0] >= 0.5


def test_doubt_of_a_strange_operator_is_the_same_whatever_was_asked_before() -> None:
    estimator = Estimator.fit({spec: _latency_ms(spec) for spec in _specs(40, 4)}, alignment=8)
    known, strange = _specs(1, 7)[0], OperatorSpec("pool", 64, 64, height=7, width=7)
    far = OperatorSpec("conv", 4096, 4096, 3, 1, 1, 56, 56)
    alone = [replace(estimator).price([spec]) for spec in (known, strange, far)]
    together = replace(estimator).price([known, strange, far])
    afterwards = [estimator.price([spec]) for spec in (known, strange, far)]
    for place, (ms, error_share) in enumerate(alone):
        assert ms[0] == pytest.approx(together[0][place]) == pytest.approx(afterwards[place][0][0])
        assert error_share[0] == pytest.approx(together[1][place]) == pytest.approx(afterwards[place][1][0])
        assert np.isfinite(error_share[0])
    assert alone[0][1] < 0.5 <= min(alone[1][1], alone[2][1])


def test_the_price_of_one_does_not_depend_on_what_is_priced_along() -> None:
    estimator = Estimator.fit({spec: _latency_ms(spec) for spec in _specs(60, 5)}, alignment=8)
    asked = _specs(10, 6)
    together = estimator.price(asked)[0]
    alone = [estimator.price([spec])[0][0] for spec in asked]
    assert together.tolist() == pytest.approx(alone)

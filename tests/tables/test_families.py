from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.families import group, members, non_decreasing, places

_VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=30)


@given(_VALUES)
def test_the_isotonic_fit_never_decreases_and_keeps_the_mean(values: list[float]) -> None:
    fitted = non_decreasing(np.array(values), np.ones(len(values)))
    assert (np.diff(fitted) >= -1e-9).all()
    np.testing.assert_allclose(fitted.mean(), np.mean(values), atol=1e-9)


@given(_VALUES)
def test_what_is_in_order_stays_as_it_is(values: list[float]) -> None:
    ordered = np.sort(values)
    np.testing.assert_array_equal(non_decreasing(ordered, np.ones(len(values))), ordered)


def test_heavier_values_give_way_less() -> None:
    np.testing.assert_allclose(non_decreasing(np.array([3.0, 1.0]), np.array([3.0, 1.0])), [2.5, 2.5])


def test_a_dense_convolution_is_in_two_families_and_a_depthwise_one_in_one() -> None:
    dense = OperatorSpec("conv", 16, 64, height=8, width=8)
    depthwise = OperatorSpec("conv", 64, 64, 3, groups=64, height=8, width=8)
    grouped = OperatorSpec("conv", 16, 32, groups=4, height=8, width=8)
    assert [place.width for place in places(dense)] == [64, 16]
    assert [place.width for place in places(depthwise)] == [64]
    assert places(grouped) == []


def test_depthwise_operators_of_one_kernel_are_one_family() -> None:
    specs = [OperatorSpec("conv", c, c, 3, groups=c, height=8, width=8) for c in (48, 16, 32)]
    other = OperatorSpec("conv", 16, 16, 5, groups=16, height=8, width=8)
    (entries,) = members([*specs, other]).values()
    assert [width for width, _ in entries] == [16, 32, 48]
    assert group(specs[0]) != group(other)


def test_what_keeps_its_channels_is_one_family() -> None:
    resize = OperatorSpec("resize", 16, 16, height=8, width=8, out_height=32, out_width=32)
    transformer = OperatorSpec("transformer", 24, 24, height=8, width=8)
    for spec, width in ((resize, 16), (transformer, 24)):
        (place,) = places(spec)
        assert (place.width, place.family.c_in, place.family.c_out) == (width, 0, 0)
    other = OperatorSpec("resize", 16, 16, height=8, width=8, out_height=16, out_width=16)
    assert places(resize)[0].family != places(other)[0].family


_KINDS = st.sampled_from(
    ["conv", "deconv", "linear", "matmul", "product", "pool", "resize", "attention", "other"]
)
_COUNTS = st.sampled_from([8, 16, 24])


@given(st.lists(st.builds(OperatorSpec, _KINDS, _COUNTS, _COUNTS, height=_COUNTS), unique=True, max_size=60))
def test_a_family_has_one_operator_of_a_width(specs: list[OperatorSpec]) -> None:
    for entries in members(specs).values():
        widths = [width for width, _ in entries]
        assert len(set(widths)) == len(widths)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.roofline import Roof, Roofline, padded_work, roof_group
from hwtickets.tables.roofline_fit import Sample, fit_roofline

TRUE = Roofline(
    base=Roof(0.01, 1.0, 0.02),
    roofs={
        "conv-k1": Roof(0.01, 1.0, 0.02),
        "conv-depthwise": Roof(0.02, 8.0, 0.03),
        "pool": Roof(0.01, 1.0, 0.04),
    },
    sharpness=1.0,
    alignment=8,
    batch=1,
    error_share=0.1,
    unseen_error_share=1.0,
    most_gmac=10.0,
    most_mb=100.0,
)
_WIDTHS = st.integers(1, 512)


def conv(c_in: int, c_out: int, pixels: int = 14) -> OperatorSpec:
    return OperatorSpec("conv", c_in, c_out, height=pixels, width=pixels)


def depthwise(channels: int, pixels: int = 14) -> OperatorSpec:
    return OperatorSpec("conv", channels, channels, 3, groups=channels, height=pixels, width=pixels)


def _price(roofline: Roofline, spec: OperatorSpec) -> float:
    return float(roofline.price([spec])[0][0])


def test_a_fit_to_operators_predicts_others() -> None:
    specs = [make(*sizes) for sizes in ((16, 32), (64, 64), (256, 128)) for make in (conv,)]
    specs += [conv(c_in, c_out, p) for c_in in (16, 96, 384) for c_out in (24, 160) for p in (7, 28, 56)]
    specs += [depthwise(channels, pixels) for channels in (16, 96, 384) for pixels in (7, 28, 56)]
    samples = [Sample([spec], _price(TRUE, spec)) for spec in specs]
    found = fit_roofline(samples, alignment=8).roofline
    unseen = [conv(48, 48), conv(512, 80, 20), depthwise(200), depthwise(64, 40)]
    np.testing.assert_allclose(found.price(unseen)[0], TRUE.price(unseen)[0], rtol=0.1)


def test_a_fit_to_whole_networks_finds_their_fixed_cost() -> None:
    random = np.random.default_rng(0)
    samples = []
    for _ in range(40):
        widths = (8 * random.integers(1, 40, size=random.integers(1, 12))).tolist()
        specs = [spec for width in widths for spec in (conv(width, 2 * width), depthwise(2 * width))]
        samples.append(Sample(specs, 0.5 + float(TRUE.price(specs)[0].sum())))
    found = fit_roofline(samples, alignment=8, offset=True)
    assert found.offset_ms == pytest.approx(0.5, rel=0.3)
    assert found.roofline.error_share < 0.05


def test_nothing_timed_is_an_error() -> None:
    with pytest.raises(HwticketsError, match="at least one operator"):
        fit_roofline([Sample([conv(8, 8)], 0.0)], alignment=8)


@given(_WIDTHS, _WIDTHS, st.integers(1, 64), st.sampled_from([1.0, 4.0]))
def test_more_channels_never_cost_less_and_nothing_is_free(
    c_in: int, c_out: int, more: int, s: float
) -> None:
    roofline = replace(TRUE, sharpness=s)
    for smaller, larger in (
        (conv(c_in, c_out), conv(c_in + more, c_out)),
        (conv(c_in, c_out), conv(c_in, c_out + more)),
        (depthwise(max(2, c_in)), depthwise(max(2, c_in) + more)),
    ):
        if smaller.depthwise == larger.depthwise:
            assert 0 < _price(roofline, smaller) <= _price(roofline, larger) * (1 + 1e-9)


@given(st.integers(1, 60))
def test_arithmetic_is_counted_in_whole_steps(channels: int) -> None:
    padded = -(-channels // 8) * 8
    work = padded_work(conv(64, channels), 8, 1)[0]
    assert work == pytest.approx(padded_work(conv(64, padded if channels > 4 else 4), 8, 1)[0])


def test_a_batch_multiplies_arithmetic_and_activations_but_not_weights() -> None:
    spec = conv(64, 64)
    one, many = padded_work(spec, 8, 1), padded_work(spec, 8, 32)
    assert many[0] == pytest.approx(32 * one[0])
    assert one[1] < many[1] < 32 * one[1]


def test_a_block_costs_what_its_parts_cost() -> None:
    block = OperatorSpec("mbconv-se", 16, 24, 5, 2, 1, 28, 28, "relu", hidden=64)
    assert _price(TRUE, block) == pytest.approx(sum(_price(TRUE, part) for part in block.parts))


def test_what_the_fit_has_not_seen_is_priced_with_more_doubt() -> None:
    known, unseen = conv(16, 16), OperatorSpec("softmax", 1000, 1000)
    far = conv(4096, 4096, 112)
    ms, doubt = TRUE.price([known, unseen, far])
    assert (ms > 0).all()
    assert doubt.tolist() == [pytest.approx(0.1), pytest.approx(1.0), pytest.approx(1.0)]


def test_groups_tell_kernels_and_kinds_apart() -> None:
    grouped = OperatorSpec("conv", 16, 32, groups=4)
    names = [roof_group(spec) for spec in (conv(8, 8), depthwise(8), grouped, OperatorSpec("add", 8, 8))]
    assert names == ["conv-k1", "conv-depthwise", "conv-grouped", "add"]


def test_a_roofline_is_read_as_it_was_written() -> None:
    assert Roofline.from_dict(TRUE.as_dict()) == TRUE


@pytest.mark.parametrize(
    "change",
    [
        {"sharpness": 0.0},
        {"alignment": 0},
        {"error_share": -1.0},
        {"base": None},
        {"roofs": []},
        {"most_mb": "x"},
    ],
)
def test_a_damaged_roofline_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Roofline.from_dict({**TRUE.as_dict(), **change})

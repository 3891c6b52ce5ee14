from __future__ import annotations

import numpy as np
import pytest

from hwtickets.errors import UsageError
from hwtickets.prediction.chains import (
    FBNET_BLOCKS,
    OfaNetwork,
    fbnet_features,
    fbnet_operators,
    ofa_features,
)
from hwtickets.prediction.operators import operator_macs

LARGEST = OfaNetwork(224, (7,) * 20, (6,) * 20, (4,) * 5)


def test_blocks_beyond_the_depth_change_nothing() -> None:
    shallow = OfaNetwork(160, (3,) * 20, (3,) * 20, (2,) * 5)
    other = OfaNetwork(160, (3, 3, 7, 7) * 5, (3, 3, 6, 6) * 5, (2,) * 5)
    both = ofa_features([shallow, other])
    assert np.array_equal(both.work[0], both.work[1])
    for values in both.traits.values():
        assert np.array_equal(values[0], values[1])


def test_an_image_half_as_wide_has_about_a_quarter_of_the_arithmetic() -> None:
    small = OfaNetwork(112, LARGEST.kernels, LARGEST.expansions, LARGEST.depths)
    large_macs, small_macs = operator_macs([LARGEST.operators(), small.operators()])
    assert 0.24 < small_macs / large_macs < 0.28


def test_a_skip_of_unchanged_shape_runs_nothing() -> None:
    skips = ["skip"] * 22
    kinds = [spec.kind for spec in fbnet_operators(skips)]
    assert kinds == ["conv"] * 8 + ["linear"]
    assert len(fbnet_operators(["k3_e6"] * 22)) == 25


def test_more_expansion_is_more_work() -> None:
    networks = [["k3_e1"] * 22, ["k3_e3"] * 22, ["k3_e6"] * 22, ["k5_e6"] * 22]
    macs = operator_macs([fbnet_operators(blocks) for blocks in networks])
    assert macs.tolist() == sorted(macs.tolist())
    assert (fbnet_features(networks).work >= 0).all()


@pytest.mark.parametrize("blocks", [["skip"] * 21, ["k9_e9"] * 22])
def test_what_is_no_fbnet_is_refused(blocks: list[str]) -> None:
    with pytest.raises(UsageError, match="22 blocks"):
        fbnet_operators(blocks)


def test_what_is_no_once_for_all_network_is_refused() -> None:
    with pytest.raises(UsageError, match="20 blocks in 5 stages"):
        OfaNetwork(224, (3,) * 19, (3,) * 20, (2,) * 5)


def test_every_block_has_a_term() -> None:
    one = fbnet_features([[FBNET_BLOCKS[0]] * 22])
    assert one.work[:, -22 * 8 :].sum() == 22

from __future__ import annotations

import pytest

from hwtickets.space.blocks import is_block
from hwtickets.space.operators import OperatorSpec

_BLOCKS = [
    OperatorSpec("mbconv", 16, 24, 5, 2, 1, 30, 30, "relu6", hidden=96),
    OperatorSpec("mbconv-se", 24, 24, 3, 1, 1, 15, 15, "hswish", True, hidden=72),
    OperatorSpec("mbconv", 16, 16, 3, 1, 1, 30, 30, "relu", True),
    OperatorSpec("conv-conv", 16, 32, 3, 2, 1, 32, 64, "relu", dilation=2),
    OperatorSpec("downup-1x", 16, 32, 3, 1, 1, 32, 64, "relu"),
    OperatorSpec("downup-2x", 16, 32, 3, 2, 1, 32, 64, "relu"),
    OperatorSpec("factorized-reduce", 16, 32, 1, 2, 1, 32, 64, "relu"),
    OperatorSpec("feature-fusion", 32, 32, height=32, width=64),
    OperatorSpec("segmentation-head", 64, 19, 3, 1, 1, 32, 64, "relu", hidden=32),
]


def test_an_inverted_residual_counts_its_three_convolutions() -> None:
    block = _BLOCKS[0]
    expand, depthwise, project = block.parts
    assert block.macs == 16 * 96 * 900 + 96 * 25 * 225 + 96 * 24 * 225
    assert block.params == (16 + 1) * 96 + (25 + 1) * 96 + (96 + 1) * 24
    assert depthwise.depthwise and (expand.activation, project.activation) == ("relu6", "none")


def test_squeeze_and_excite_adds_a_pool_and_two_small_products() -> None:
    kinds = [part.kind for part in _BLOCKS[1].parts]
    assert kinds == ["conv", "conv", "pool", "linear", "linear", "add", "conv"]
    assert _BLOCKS[1].parts[-1].residual


def test_without_inner_channels_there_is_no_expansion() -> None:
    assert [part.kernel for part in _BLOCKS[2].parts] == [3, 1]


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: block.kind)
def test_parts_follow_one_another_and_end_at_the_result_of_the_block(block: OperatorSpec) -> None:
    parts = block.parts
    assert is_block(block.kind) and not any(is_block(part.kind) for part in parts)
    assert parts[0].c_in == block.c_in
    assert parts[-1].c_out == block.c_out
    assert (parts[0].height, parts[0].width) == (block.height, block.width)
    assert block.macs == sum(part.macs for part in parts) > 0
    assert block.bytes_moved == sum(part.bytes_moved for part in parts)


def test_an_operator_is_its_own_only_part() -> None:
    for kind in ("conv", "add", "resize"):
        spec = OperatorSpec(kind, 8, 8, height=4, width=4)
        assert spec.parts == (spec,)
    assert OperatorSpec("resize", 8, 8, height=4, width=4).macs == 0

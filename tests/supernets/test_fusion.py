from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwtickets.supernets import MixConvBlock
from hwtickets.supernets.fusion import FuseModule, ParallelModule
from hwtickets.supernets.heads import ClassificationHead, DenseHead


def _block(c_in: int, c_out: int, stride: int) -> MixConvBlock:
    return MixConvBlock(c_in, c_out, stride, {3: 2 * c_in, 5: 2 * c_in})


def _maps(channels: list[int], height: int, width: int) -> list[Tensor]:
    """Branches whose sizes are halved and rounded up."""
    return [
        torch.randn(2, count, -(-height // 2**branch), -(-width // 2**branch))
        for branch, count in enumerate(channels)
    ]


def _grown(x: Tensor, like: Tensor) -> Tensor:
    """Every pixel twice in both directions, then bilinear where that is not the size."""
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if x.shape[2:] == like.shape[2:]:
        return x
    return F.interpolate(x, like.shape[2:], mode="bilinear")


@pytest.mark.parametrize("size", [(16, 24), (11, 13)])
@torch.no_grad()
def test_a_fusion_is_the_sum_of_neighbours_then_relu(
    shake: Callable[[nn.Module], nn.Module], size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    fuse = shake(FuseModule([4, 6, 8], [4, 6, 8, 10], _block)).eval()
    xs = _maps([4, 6, 8], *size)
    paths = fuse.paths
    first = paths["0to0"](xs[0])
    middle, last = paths["1to1"](xs[1]), paths["2to2"](xs[2])
    expected = [
        F.relu(first + _grown(paths["1to0"](xs[1]), first)),
        F.relu(paths["0to1"](xs[0]) + middle + _grown(paths["2to1"](xs[2]), middle)),
        F.relu(paths["1to2"](xs[1]) + last),
    ]
    expected.append(fuse.new["3"](expected[2]))
    assert set(paths) == {"0to0", "1to0", "0to1", "1to1", "2to1", "1to2", "2to2"}, "neighbours only"
    for fused, wanted in zip(fuse(xs), expected, strict=True):
        torch.testing.assert_close(fused, wanted)
    assert (expected[3] < 0).any(), "a new branch is what its block says"
    assert (paths["0to1"].stride, paths["1to0"].stride, fuse.new["3"].stride) == (2, 1, 2)


def test_a_fusion_into_fewer_branches_keeps_the_highest_resolutions() -> None:
    fuse = FuseModule([4, 6, 8], [4], _block)
    assert list(fuse.paths) == ["0to0", "1to0"]
    assert [x.shape[1:] for x in fuse(_maps([4, 6, 8], 8, 8))] == [(4, 8, 8)]


def test_parallel_blocks_stay_in_their_branch() -> None:
    parallel = ParallelModule([2, 1], [4, 6], _block).eval()
    xs = _maps([4, 6], 9, 9)
    first, second = parallel(xs)
    assert torch.equal(first, parallel[0][1](parallel[0][0](xs[0])))
    assert torch.equal(second, parallel[1][0](xs[1]))


@torch.no_grad()
def test_the_classification_head_adds_up_from_high_to_low_resolution(
    shake: Callable[[nn.Module], nn.Module],
) -> None:
    head = shake(ClassificationHead([4, 6, 8], [8, 12, 16], 20, 5, 0.5, _block)).eval()
    xs = _maps([4, 6, 8], 11, 13)
    total = head.widen[0](xs[0])
    total = head.widen[1](xs[1]) + head.down[0](total)
    total = head.widen[2](xs[2]) + head.down[1](total)
    features = head.last(total).mean((2, 3))
    torch.testing.assert_close(head(xs), F.linear(features, head.classifier.weight, head.classifier.bias))
    assert total.shape[1] == 16 and (features >= 0).all()


@torch.no_grad()
def test_the_dense_head_joins_all_branches_at_the_highest_resolution(
    shake: Callable[[nn.Module], nn.Module],
) -> None:
    head = shake(DenseHead([4, 6, 8], 9, 5, _block)).eval()
    xs = _maps([4, 6, 8], 11, 13)
    joined = torch.cat([xs[0], *(F.interpolate(x, (11, 13), mode="bilinear") for x in xs[1:])], 1)
    expected = head.classifier(head.transform(joined))
    torch.testing.assert_close(head(xs), expected)
    assert expected.shape == (2, 5, 11, 13) and head.classifier.bias is not None

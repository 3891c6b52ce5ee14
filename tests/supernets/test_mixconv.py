from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwtickets.supernets import MixConvBlock

SHAPES = [(16, 16, 1), (8, 16, 1), (16, 24, 2), (16, 16, 2), (6, 4, 1)]


def _norm(norm: nn.BatchNorm2d, x: Tensor, training: bool) -> Tensor:
    mean = x.mean((0, 2, 3)) if training else norm.running_mean
    var = x.var((0, 2, 3), unbiased=False) if training else norm.running_var
    scale = norm.weight / (var + norm.eps).sqrt()
    return x * scale[:, None, None] + (norm.bias - mean * scale)[:, None, None]


def _reference(block: MixConvBlock, x: Tensor, training: bool) -> Tensor:
    """R(x) + BN(sum_k proj_k(relu(bn(dw_k(relu(bn(expand_k(x)))))))), written down from the paper."""
    total = torch.zeros(())
    for kernel in (3, 5, 7):
        branch = block.branches[f"k{kernel}"]
        hidden = F.relu(_norm(branch.expand_bn, F.conv2d(x, branch.expand.weight), training))
        hidden = F.conv2d(
            hidden,
            branch.depthwise.weight,
            None,
            block.stride,
            kernel // 2,
            groups=len(branch.depthwise.weight),
        )
        hidden = F.relu(_norm(branch.depthwise_bn, hidden, training))
        total = total + F.conv2d(hidden, branch.project.weight)
    residual = x
    if (block.stride, block.c_in) != (1, block.c_out):
        groups = math.gcd(block.c_in, block.c_out)
        residual = F.conv2d(x, block.residual.weight, None, block.stride, groups=groups)
    return residual + _norm(block.out_bn, total, training)


@pytest.fixture
def block_of(shake: Callable[[nn.Module], nn.Module]) -> Callable[..., MixConvBlock]:
    def build(c_in: int, c_out: int, stride: int, hidden: dict[int, int] | None = None) -> MixConvBlock:
        torch.manual_seed(0)
        return shake(MixConvBlock(c_in, c_out, stride, hidden or {3: 8, 5: 16, 7: 24}))

    return build


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_the_block_is_the_formula_of_the_paper(
    block_of: Callable[..., MixConvBlock], shape: tuple[int, int, int], training: bool
) -> None:
    block = block_of(*shape).train(training)
    x = torch.randn(3, shape[0], 9, 9)
    expected = _reference(block, x, training)
    torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)
    assert (expected < 0).any(), "there is no activation after the sum"


def test_the_residual_is_the_identity_only_where_the_shape_is_kept(
    block_of: Callable[..., MixConvBlock],
) -> None:
    assert not list(block_of(16, 16, 1).residual.parameters())
    for c_in, c_out, stride in SHAPES[1:]:
        residual = block_of(c_in, c_out, stride).residual
        assert residual.groups == math.gcd(c_in, c_out)
        assert (residual.kernel_size, residual.stride, residual.bias) == ((1, 1), (stride, stride), None)


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_a_block_without_branches_is_its_residual(
    block_of: Callable[..., MixConvBlock], shape: tuple[int, int, int]
) -> None:
    block = block_of(*shape)
    x = torch.randn(2, shape[0], 8, 8)
    residual = block.residual(x)
    for key in list(block.branches):
        del block.branches[key]
    block.drop_unused()
    assert torch.equal(block(x), residual)
    assert {name.split(".")[0] for name in block.state_dict()} <= {"residual"}


def test_branches_of_no_channels_are_left_out(block_of: Callable[..., MixConvBlock]) -> None:
    block = block_of(16, 16, 1, {3: 0, 5: 8, 7: 0})
    assert list(block.branches) == ["k5"]
    assert block.importance_factors() == {"k5": "branches.k5.depthwise_bn"}


@pytest.mark.parametrize("gone", [(), ("k7",), ("k3",), ("k3", "k5"), ("k3", "k5", "k7")])
@pytest.mark.parametrize("form", MixConvBlock.forms)
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_every_deployed_form_computes_the_same(
    block_of: Callable[..., MixConvBlock], shape: tuple[int, int, int], form: str, gone: tuple[str, ...]
) -> None:
    block = block_of(*shape).eval()
    for key in gone:
        del block.branches[key]
    block.drop_unused()
    x = torch.randn(2, shape[0], 11, 11)
    deployed = block.deployed(form)
    torch.testing.assert_close(deployed(x), block(x), rtol=1e-5, atol=1e-5)
    assert not [module for module in deployed.modules() if isinstance(module, nn.BatchNorm2d)]

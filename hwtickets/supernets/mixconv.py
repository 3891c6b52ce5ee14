"""The searching block of HR-NAS: parallel inverted residuals with three kernel sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hwtickets.space.operators import GraphBuilder, Value
from hwtickets.supernets.base import PLAIN, ParallelSum, SearchingBlock


class MixConvBranch(nn.Module):
    """1x1 expand, depthwise kxk, 1x1 linear projection; batch norm and ReLU after the first two.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        hidden: Hidden channels, the search units.
        kernel: Side of the depthwise kernel, in pixels.
        stride: Stride of the depthwise convolution.
    """

    def __init__(self, c_in: int, c_out: int, hidden: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(c_in, hidden, 1, bias=False)
        self.expand_bn = nn.BatchNorm2d(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        self.depthwise_bn = nn.BatchNorm2d(hidden)
        self.project = nn.Conv2d(hidden, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The branch's share of the block's sum, (B, c_out, H / stride, W / stride)."""
        hidden = F.relu(self.expand_bn(self.expand(x)))
        hidden = F.relu(self.depthwise_bn(self.depthwise(hidden)))
        return self.project(hidden)


class MixConvBlock(SearchingBlock):
    """`R(x) + BN(sum_k branch_k(x))`, no activation after the sum.

    R is the identity when the shape is kept, else a 1x1 convolution of the block's stride, without bias and
    batch norm, grouped by the largest common divisor of the channels. Without branches the block is R alone.
    Source: HR-NAS (CVPR 2021), searching block; SuperTickets (ECCV 2022), section 3.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        stride: Stride of the block.
        hidden: Hidden channels by kernel side; a branch of 0 channels is left out.
    """

    forms = ("split", "merged")

    def __init__(self, c_in: int, c_out: int, stride: int, hidden: Mapping[int, int]) -> None:
        super().__init__()
        self.c_in, self.c_out, self.stride = c_in, c_out, stride
        kept = {k: h for k, h in sorted(hidden.items()) if h > 0}
        self.branches = ParallelSum(
            {f"k{k}": MixConvBranch(c_in, c_out, h, k, stride) for k, h in kept.items()}
        )
        self.out_bn: nn.Module = nn.BatchNorm2d(c_out)
        self.residual: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.residual = nn.Conv2d(c_in, c_out, 1, stride, groups=math.gcd(c_in, c_out), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        residual: Tensor = self.residual(x)
        if not self.branches:
            return residual
        outputs = [branch(x) for branch in self.branches.values()]
        return residual + self.out_bn(sum(outputs[1:], outputs[0]))

    def importance_factors(self) -> dict[str, str]:
        """A unit for each branch that is left: its norm after the depthwise convolution."""
        return {key: f"branches.{key}.depthwise_bn" for key in self.branches}

    def describe(
        self, builder: GraphBuilder, name: str, x: Value, widths: Mapping[str, int], form: str
    ) -> Value:
        """Writes the operators of the deployed block; see `SearchingBlock.describe`."""
        residual = x
        if isinstance(self.residual, nn.Conv2d):
            groups = self.residual.groups if form == PLAIN else 1
            residual = builder.conv(name, "residual", x, self.c_out, 1, self.stride, groups)
        hidden = {
            int(key[1:]): widths[f"{name}.{key}"] for key in self.branches if widths[f"{name}.{key}"] > 0
        }
        if not hidden:
            return residual
        joined = self._describe_hidden(builder, name, x, hidden, form)
        return builder.conv(name, "project", joined, self.c_out, residual=residual)

    def _describe_hidden(
        self, builder: GraphBuilder, name: str, x: Value, hidden: dict[int, int], form: str
    ) -> Value:
        if form == "merged" or (form != PLAIN and len(hidden) == 1):
            total, kernel = sum(hidden.values()), max(hidden)
            expanded = builder.conv(name, "expand", x, total, activation="relu")
            return builder.conv(
                name, "depthwise", expanded, total, kernel, self.stride, groups=total, activation="relu"
            )
        parts = []
        for kernel, width in hidden.items():
            expanded = builder.conv(name, f"expand_k{kernel}", x, width, activation="relu")
            parts.append(
                builder.conv(
                    name,
                    f"depthwise_k{kernel}",
                    expanded,
                    width,
                    kernel,
                    self.stride,
                    groups=width,
                    activation="relu",
                )
            )
        return builder.concat(name, "concat", parts)

    def drop_unused(self) -> None:
        """Removes the norm of the sum once there is nothing to sum."""
        if not self.branches:
            self.out_bn = nn.Identity()

    def deployed(self, form: str) -> nn.Module:
        """An equal inference-only module: one path for each kernel, or all merged into one."""
        if not self.branches:
            return _ungrouped(self.residual)
        merged = form == "merged" or len(self.branches) == 1
        return MergedMixConv(self) if merged else SplitMixConv(self)


class SplitMixConv(nn.Module):
    """A deployed block: expand and depthwise for each kernel, concat, one projection, output norm folded."""

    def __init__(self, block: MixConvBlock) -> None:
        super().__init__()
        for key, branch in _branches(block).items():
            expand, depthwise = _folded_hidden(branch)
            self.add_module(f"expand_{key}", expand)
            self.add_module(f"depthwise_{key}", depthwise)
        self.keys = list(block.branches)
        self.project = _folded_projection(block)
        self.residual = _ungrouped(block.residual)

    def forward(self, x: Tensor) -> Tensor:
        """Equal to the block's in evaluation mode."""
        hidden = [
            F.relu(self.get_submodule(f"depthwise_{key}")(F.relu(self.get_submodule(f"expand_{key}")(x))))
            for key in self.keys
        ]
        return self.project(torch.cat(hidden, 1)) + self.residual(x)


class MergedMixConv(nn.Module):
    """A deployed block: kernels zero-padded to the largest, so one expand, depthwise and projection remain.

    Exact, because a zero-padded kernel with its larger border padding computes the same sums.
    """

    def __init__(self, block: MixConvBlock) -> None:
        super().__init__()
        folded = [_folded_hidden(branch) for branch in _branches(block).values()]
        self.expand = _joined([expand for expand, _ in folded])
        kernel = max(depthwise.kernel_size[0] for _, depthwise in folded)
        self.depthwise = _joined([_padded(depthwise, kernel) for _, depthwise in folded])
        self.project = _folded_projection(block)
        self.residual = _ungrouped(block.residual)

    def forward(self, x: Tensor) -> Tensor:
        """Equal to the block's in evaluation mode."""
        hidden = F.relu(self.depthwise(F.relu(self.expand(x))))
        return self.project(hidden) + self.residual(x)


def _branches(block: MixConvBlock) -> dict[str, MixConvBranch]:
    return {key: cast(MixConvBranch, branch) for key, branch in block.branches.items()}


def _folded_hidden(branch: MixConvBranch) -> tuple[nn.Conv2d, nn.Conv2d]:
    return (
        fuse_conv_bn_eval(branch.expand.eval(), branch.expand_bn.eval()),
        fuse_conv_bn_eval(branch.depthwise.eval(), branch.depthwise_bn.eval()),
    )


def _folded_projection(block: MixConvBlock) -> nn.Conv2d:
    """The projections of all branches side by side (a sum of products is one product), output norm folded."""
    weight = torch.cat([branch.project.weight for branch in _branches(block).values()], 1)
    project = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
    project.weight = nn.Parameter(weight.detach().clone())
    assert isinstance(block.out_bn, nn.BatchNorm2d)
    return fuse_conv_bn_eval(project.eval(), block.out_bn.eval())


def _ungrouped(residual: nn.Module) -> nn.Module:
    """The same map as a convolution without groups, its missing weights zero.

    Grouped 1x1 convolutions fall out of ONNX Runtime's blocked layout and drag layout changes and an unfused
    add along: `benchmarks.forms` shows what they cost (1.05 to 1.14 of the time, AVX-512).
    """
    if not isinstance(residual, nn.Conv2d) or residual.groups == 1:
        return residual
    dense = nn.Conv2d(residual.in_channels, residual.out_channels, 1, residual.stride[0], bias=False)
    ins, outs = residual.in_channels // residual.groups, residual.out_channels // residual.groups
    with torch.no_grad():
        dense.weight.zero_()
        for group in range(residual.groups):
            rows, columns = slice(group * outs, (group + 1) * outs), slice(group * ins, (group + 1) * ins)
            dense.weight[rows, columns] = residual.weight[rows]
    return dense


def _padded(depthwise: nn.Conv2d, kernel: int) -> nn.Conv2d:
    margin = (kernel - depthwise.kernel_size[0]) // 2
    padded = nn.Conv2d(
        depthwise.in_channels,
        depthwise.out_channels,
        kernel,
        depthwise.stride[0],
        kernel // 2,
        groups=depthwise.groups,
    )
    padded.weight = nn.Parameter(F.pad(depthwise.weight.detach(), [margin] * 4))
    padded.bias = depthwise.bias
    return padded


def _joined(convs: list[nn.Conv2d]) -> nn.Conv2d:
    """Convolutions over one input (or, depthwise, stacked inputs) as a single one with stacked outputs."""
    first, total = convs[0], sum(conv.out_channels for conv in convs)
    depthwise = first.groups == first.out_channels and first.groups > 1
    joined = nn.Conv2d(
        total if depthwise else first.in_channels,
        total,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        groups=total if depthwise else 1,
    )
    joined.weight = nn.Parameter(torch.cat([conv.weight.detach() for conv in convs]))
    joined.bias = nn.Parameter(torch.cat([conv.bias.detach() for conv in convs]))  # type: ignore[union-attr]
    return joined

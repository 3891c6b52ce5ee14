"""Small networks of the three kinds that pruners are compared on: residual, inverted residual, attention.

Plain PyTorch, nothing of hwtickets in it, so that every pruner meets what its users would bring. The
classifier is called `head` in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (arXiv:1512.03385, figure 2)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        same = stride == 1 and c_in == c_out
        self.shortcut: nn.Module = nn.Identity() if same else _conv(c_in, c_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways, rectified."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """Like ResNet-18, for small images: four stages of two blocks, a quarter of the pixels at the first.

    Args:
        channels: Of the images.
        classes: Outputs.
        widths: Channels of the stages.
    """

    def __init__(
        self, channels: int, classes: int, widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(channels, widths[0], 3, 2), nn.ReLU())
        inputs = (widths[0], *widths[:-1])
        self.stages = nn.Sequential(
            *(
                nn.Sequential(BasicBlock(c_in, c_out, 1 if c_in == c_out else 2), BasicBlock(c_out, c_out, 1))
                for c_in, c_out in zip(inputs, widths, strict=True)
            )
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        out: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return out


class InvertedResidual(nn.Module):
    """Expand, filter by channel, project (arXiv:1801.04381, section 3.3)."""

    def __init__(self, c_in: int, c_out: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = expand * c_in
        self.expand = nn.Sequential(_conv(c_in, hidden, 1), nn.ReLU6()) if expand > 1 else nn.Identity()
        self.depthwise = nn.Sequential(_conv(hidden, hidden, 3, stride, hidden), nn.ReLU6())
        self.project = _conv(hidden, c_out, 1)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """The projection, on top of the input where they have one shape."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """Like MobileNetV2, for small images.

    Args:
        channels: Of the images.
        classes: Outputs.
        stages: Expansion, channels, blocks and stride of the stages.
        last: Channels before the classifier.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        stages: tuple[tuple[int, int, int, int], ...] = (
            (1, 16, 1, 1),
            (6, 24, 2, 1),
            (6, 32, 2, 2),
            (6, 64, 3, 2),
            (6, 96, 1, 1),
        ),
        last: int = 256,
    ) -> None:
        super().__init__()
        width = 32
        self.stem = nn.Sequential(_conv(channels, width, 3, 2), nn.ReLU6())
        blocks = []
        for expand, c_out, count, first_stride in stages:
            for number in range(count):
                blocks.append(InvertedResidual(width, c_out, 1 if number else first_stride, expand))
                width = c_out
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(_conv(width, last, 1), nn.ReLU6())
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        out: Tensor = self.head(self.last(self.blocks(self.stem(x))).mean((2, 3)))
        return out


class Attention(nn.Module):
    """Attention over all tokens, several heads; its sizes follow `num_heads` and `head_dim` (per head)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """What every token makes of all, shape (images, tokens, channels)."""
        images, tokens, _ = x.shape
        split = self.qkv(x).reshape(images, tokens, 3, self.num_heads, self.head_dim)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(seen.transpose(1, 2).reshape(images, tokens, self.num_heads * self.head_dim))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a shortcut (arXiv:2010.11929, figure 1)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens, shape (images, tokens, channels)."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return out


class ViT(nn.Module):
    """Like ViT-tiny, for small images: patches of 4 x 4 pixels, the mean of all tokens classified.

    Args:
        channels: Of the images.
        classes: Outputs.
        side: Height and width of the images, in pixels.
        width: Channels of a token.
        depth: Blocks.
        heads: Of the attention.
    """

    def __init__(
        self, channels: int, classes: int, side: int, width: int = 96, depth: int = 3, heads: int = 3
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(1, (side // 4) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width, heads, 4 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        out: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return out


@dataclass(frozen=True)
class Network:
    """A network of the comparison.

    Attributes:
        builder: Name of its class in this module.
        training: Keys of a search that say how a network of its kind is trained.
        sized: Whether it is built for one size of images.
    """

    builder: str
    training: Mapping[str, Any] = field(default_factory=dict)
    sized: bool = False

    def sizes(self, input_shape: tuple[int, int, int], classes: int) -> dict[str, Any]:
        """What `hwtickets` builds it from, for inputs of (channels, height, width)."""
        channels, side, _ = input_shape
        arguments = {"channels": channels, "classes": classes, **({"side": side} if self.sized else {})}
        return {"reference": f"{__name__}:{self.builder}", "arguments": arguments}


_ATTENTION = {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05}
#: By the name that the options know them by.
NETWORKS = {
    "resnet": Network("ResNet"),
    "mobilenet": Network("MobileNetV2"),
    "vit": Network("ViT", _ATTENTION, sized=True),
}


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)
    )

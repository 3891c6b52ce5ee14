"""A MixConv block with a lightweight transformer on its residual side."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hwtickets.space.operators import GraphBuilder, Value
from hwtickets.supernets.base import PLAIN, ParallelSum
from hwtickets.supernets.fusion import resized
from hwtickets.supernets.mixconv import MixConvBlock
from hwtickets.supernets.tokens import EMBEDDING, PLACES, SIDE, AttentionLayer, TokenMixer, shrunk

_UNIT = "tokens"


class TokenBlock(MixConvBlock):
    """`T(x) + BN(sum_k branch_k(x))`, with T(x) = x + mixer(x); a block that keeps its shape.

    The tokens are a unit of their own: without any, T is the identity.
    Source: HR-NAS (CVPR 2021), searching block with its transformer.

    Args:
        channels: Input and output channels.
        hidden: Hidden channels by kernel side.
        tokens: Tokens of the transformer.
    """

    def __init__(self, channels: int, hidden: Mapping[int, int], tokens: int) -> None:
        super().__init__(channels, channels, 1, hidden)
        self.mixers = ParallelSum({_UNIT: TokenMixer(channels, tokens)})

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        y = super().forward(x)
        return y + self.mixers[_UNIT](x) if self.mixers else y

    def importance_factors(self) -> dict[str, str]:
        """The branches' norms, and the norm of the tokens while there are any."""
        factors = super().importance_factors()
        return {**factors, _UNIT: f"mixers.{_UNIT}.input_norm"} if self.mixers else factors

    def declared_members(self) -> dict[str, list[tuple[str, str, int]]]:
        """What a token runs through: attention mixes tokens without any weight that is theirs."""
        if not self.mixers:
            return {}
        mixer = f"mixers.{_UNIT}"
        norm = [
            (f"{mixer}.input_norm", tensor, 0) for tensor in ("weight", "bias", "running_mean", "running_var")
        ]
        weights = [
            (f"{mixer}.input_proj", "weight", 0),
            (mixer, "queries", 0),
            (f"{mixer}.output_proj", "weight", 1),
        ]
        return {_UNIT: [*norm, *weights]}

    def describe(
        self, builder: GraphBuilder, name: str, x: Value, widths: Mapping[str, int], form: str
    ) -> Value:
        """Writes the operators of the deployed block; see `SearchingBlock.describe`."""
        y = super().describe(builder, name, x, widths, form)
        tokens = widths[f"{name}.{_UNIT}"] if self.mixers else 0
        if not tokens > 0:
            return y
        seen = builder.resize(name, "tokens_shrink", x, SIDE, SIDE)
        if form == PLAIN:
            seen = Value(seen.name, seen.channels + PLACES, SIDE, SIDE)
        mixed = builder.transformer(name, "tokens", builder.conv(name, "tokens_in", seen, tokens))
        mixed = builder.conv(name, "tokens_out", mixed, self.c_out)
        mixed = builder.resize(name, "tokens_grow", mixed, x.height, x.width)
        return builder.add(name, "tokens_add", [y, mixed])

    def deployed(self, form: str) -> nn.Module:
        """An equal inference-only module."""
        block = super().deployed(form)
        return DeployedTokenBlock(block, cast(TokenMixer, self.mixers[_UNIT])) if self.mixers else block


class DeployedTokenBlock(nn.Module):
    """A deployed block and its transformer: norms folded, coordinates and queries turned into constants.

    Args:
        block: The deployed MixConv block.
        mixer: The trained transformer, in evaluation mode.
    """

    places: Tensor
    asked: Tensor

    def __init__(self, block: nn.Module, mixer: TokenMixer) -> None:
        super().__init__()
        self.block = block
        project = fuse_conv_bn_eval(mixer.input_proj.eval(), mixer.input_norm.eval())
        tokens, channels = len(mixer.queries), project.in_channels - PLACES
        # A convolution of known coordinates is a known map; the norm's shift is part of it.
        self.register_buffer("places", F.conv2d(mixer.places, project.weight[:, channels:], project.bias))
        self.input_proj = nn.Conv2d(channels, tokens, 1, bias=False)
        self.input_proj.weight = nn.Parameter(project.weight[:, :channels].detach().clone())
        self.encoder, self.decoder = _scaled(mixer.encoder), _scaled(mixer.decoder)
        self.register_buffer("asked", self.decoder.query(mixer.queries))
        self.decoder.query = nn.Identity()
        self.output_proj = fuse_conv_bn_eval(mixer.output_proj.eval(), mixer.output_norm.eval())

    def forward(self, x: Tensor) -> Tensor:
        """Equal to the block's in evaluation mode."""
        y = (self.input_proj(shrunk(x)) + self.places).flatten(2)
        memory = self.encoder.attend(self.encoder.query(y), y)
        mixed = self.decoder.attend(self.asked, memory).unflatten(2, (SIDE, SIDE))
        total: Tensor = self.block(x) + resized(self.output_proj(mixed), x.shape[2:])
        return total


def _scaled(layer: AttentionLayer) -> AttentionLayer:
    """The layer with the scale of its queries in their weights."""
    scaled = copy.deepcopy(layer)
    with torch.no_grad():
        cast(nn.Linear, scaled.query).weight.mul_(EMBEDDING**-0.5)
    return scaled

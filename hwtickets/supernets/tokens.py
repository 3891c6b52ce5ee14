"""The lightweight transformer of HR-NAS: a few tokens, each a small map, that look at one another."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Height and width of a token's map, in pixels; its 64 numbers are the token's embedding (HR-NAS).
SIDE = 8
EMBEDDING = SIDE * SIDE
#: Channels of coordinates.
PLACES = 2


class AttentionLayer(nn.Module):
    """One head of attention added to the memory, then a feed-forward part; norms after the sums, no biases.

    As an encoder layer the queries are the memory; as a decoder layer they are learned, and still the sum is
    with the memory, not with them.

    Args:
        dropout: Share of attention weights and of features dropped in training.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.query: nn.Module = _linear()
        self.key, self.value, self.out = _linear(), _linear(), _linear()
        self.expand, self.project = _linear(), _linear()
        self.attention_norm, self.norm = nn.LayerNorm(EMBEDDING), nn.LayerNorm(EMBEDDING)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Queries (n, 64) or (B, n, 64) and memory (B, n, 64) to (B, n, 64)."""
        return self.attend(self.query(queries) * EMBEDDING**-0.5, memory)

    def attend(self, asked: Tensor, memory: Tensor) -> Tensor:
        """The layer from projected and scaled queries on."""
        weights = F.softmax(asked @ self.key(memory).transpose(1, 2), -1)
        attended = self.out(self.dropout(weights) @ self.value(memory))
        x = self.attention_norm(memory + self.dropout(attended))
        hidden = self.dropout(F.relu(self.expand(x)))
        mixed: Tensor = self.norm(x + self.dropout(self.project(hidden)))
        return mixed


class TokenMixer(nn.Module):
    """What the lightweight transformer adds to its input: `T(x) = x + mixer(x)`.

    The map is resized to 8x8 and gets two channels of coordinates; a 1x1 convolution turns it into tokens,
    whose batch norm holds their importance factors; an encoder and a decoder layer with a learned query for
    each token; a 1x1 convolution back, at the input's size.
    Source: HR-NAS (CVPR 2021), lightweight transformer, as its public code has it.

    Args:
        channels: Of the map.
        tokens: How many, the search units.
        dropout: Inside the layers; 0.1 in the public code.
    """

    places: Tensor

    def __init__(self, channels: int, tokens: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.input_proj = nn.Conv2d(channels + PLACES, tokens, 1, bias=False)
        self.input_norm = nn.BatchNorm2d(tokens)
        self.encoder, self.decoder = AttentionLayer(dropout), AttentionLayer(dropout)
        self.queries = nn.Parameter(nn.init.xavier_uniform_(torch.empty(tokens, EMBEDDING)))
        self.output_proj = nn.Conv2d(tokens, channels, 1, bias=False)
        self.output_norm = nn.BatchNorm2d(channels)
        self.register_buffer("places", _coordinates(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        places = self.places.expand(len(x), -1, -1, -1)
        y = self.input_norm(self.input_proj(torch.cat([shrunk(x), places], 1))).flatten(2)
        y = self.decoder(self.queries, self.encoder(y, y)).unflatten(2, (SIDE, SIDE))
        return F.interpolate(
            self.output_norm(self.output_proj(y)), x.shape[2:], mode="bilinear", align_corners=False
        )


def _linear() -> nn.Linear:
    return nn.Linear(EMBEDDING, EMBEDDING, bias=False)


def shrunk(x: Tensor) -> Tensor:
    """A map at the size of a token."""
    return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)


def _coordinates() -> Tensor:
    """Column and row of every place, mean 0 and variance 1 each; (1, 2, 8, 8)."""
    line = torch.arange(SIDE, dtype=torch.float32)
    line = (line - line.mean()) / line.std(correction=0)
    return torch.stack([line.expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE)])[None]

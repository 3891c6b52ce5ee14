"""Encoder-decoder Transformers of the space of Hardware-Aware Transformers (arXiv:2005.14187), in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from hwtickets.prediction.features import Features, Vector, columns

#: Channels of one attention head.
_HEAD = 64


@dataclass(frozen=True)
class Transformer:
    """Sizes of one network; the feed-forward sizes and numbers of heads are means over the layers.

    Attributes:
        encoder_channels: Width of the encoder.
        encoder_layers: Layers of the encoder.
        encoder_hidden: Width inside the encoder's feed-forward parts.
        encoder_heads: Heads of its self-attention.
        decoder_channels: Width of the decoder.
        decoder_layers: Layers of the decoder.
        decoder_hidden: Width inside the decoder's feed-forward parts.
        decoder_heads: Heads of its self-attention.
        cross_heads: Heads of its attention to the encoder.
        cross_layers: How many of the encoder's layers that attention reads.
    """

    encoder_channels: float
    encoder_layers: float
    encoder_hidden: float
    encoder_heads: float
    decoder_channels: float
    decoder_layers: float
    decoder_hidden: float
    decoder_heads: float
    cross_heads: float
    cross_layers: float


def transformer_features(networks: Sequence[Transformer]) -> Features:
    """Work: layers, channels, heads and weights (millions), by part. Traits: the sizes, totals of weights."""
    sizes = _sizes(networks)
    layers = {name: sizes[name] for name in ("encoder_layers", "decoder_layers")}
    weights = _weights(sizes)
    work = [
        *layers.values(),
        *weights.values(),
        sizes["encoder_layers"] * sizes["encoder_channels"] / 1e3,
        sizes["encoder_layers"] * sizes["encoder_heads"],
        sizes["decoder_layers"] * sizes["decoder_channels"] / 1e3,
        sizes["decoder_layers"] * sizes["decoder_heads"],
        sizes["decoder_layers"] * sizes["cross_heads"],
        sizes["decoder_layers"] * sizes["cross_layers"],
    ]
    totals = {f"{name} weights": np.log1p(values) for name, values in weights.items()}
    return Features(np.stack(work, axis=1), columns(**sizes, **totals))


def transformer_macs(networks: Sequence[Transformer]) -> Vector:
    """Multiply-accumulates for one token: the weights that it passes, without the attention's scores."""
    return 1e6 * np.sum(list(_weights(_sizes(networks)).values()), axis=0)


def _sizes(networks: Sequence[Transformer]) -> dict[str, Vector]:
    names = [field.name for field in fields(Transformer)]
    table = np.array([astuple(network) for network in networks], float).reshape(len(networks), len(names))
    return dict(zip(names, table.T, strict=True))


def _weights(sizes: Mapping[str, Vector]) -> dict[str, Vector]:
    """Weights in millions: projections of each attention, feed-forward parts."""
    encoder, decoder = sizes["encoder_channels"], sizes["decoder_channels"]
    per_layer = {
        "encoder attention": 4 * encoder * _HEAD * sizes["encoder_heads"],
        "encoder feed-forward": 2 * encoder * sizes["encoder_hidden"],
        "decoder attention": 4 * decoder * _HEAD * sizes["decoder_heads"],
        "cross attention of the decoder": 2 * decoder * _HEAD * sizes["cross_heads"],
        "cross attention to the encoder": 2 * encoder * _HEAD * sizes["cross_heads"] * sizes["cross_layers"],
        "decoder feed-forward": 2 * decoder * sizes["decoder_hidden"],
    }
    return {
        name: values * sizes["encoder_layers" if name.startswith("encoder") else "decoder_layers"] / 1e6
        for name, values in per_layer.items()
    }

"""Reads the Transformers of Hardware-Aware Transformers: one row a network, task and device."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.boards.cases import Case, Networks, Vector, case
from benchmarks.boards.reading import Folders, Row, by_device
from hwtickets.prediction.transformers import Transformer, transformer_features, transformer_macs

_FILE = "hat_transformer.csv"
_SIZES = (
    "encoder_embed_dim",
    "encoder_layer_num",
    "encoder_ffn_embed_dim_avg",
    "encoder_self_attention_heads_avg",
    "decoder_embed_dim",
    "decoder_layer_num",
    "decoder_ffn_embed_dim_avg",
    "decoder_self_attention_heads_avg",
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)
_WIDTH, _ENCODER, _DECODER = "encoder_embed_dim", "latency_mean_encoder_ms", "latency_mean_decoder_ms"
#: The first encoders on this board were measured about ten times slower than all later ones.
_COLD, _COLD_RATIO = ("wmt14ende", "cpu_raspberrypi"), 3.0


def transformer_cases(folders: Folders) -> Iterator[Case]:
    """Encoder and decoder together, for every task and device."""
    both = folders.both(_FILE, ["task", "device", "row", *_SIZES, _ENCODER, _DECODER])
    if both is None:
        return
    for key, (fit, test) in by_device(both, ("task", "device"), "row", folders, _FILE).items():
        warm, remark = _warm(fit, test) if key == _COLD else ((fit, test), "")
        networks, latencies_ms = [_networks(rows) for rows in warm], [_latency_ms(rows) for rows in warm]
        yield case(f"hat_transformer/{'_'.join(key)}", networks, latencies_ms, remark=remark)


def _networks(rows: Sequence[Row]) -> Networks:
    networks = [Transformer(*[row.number(size) for size in _SIZES]) for row in rows]
    names = [row.text("row") for row in rows]
    layers = np.array([[network.encoder_layers, network.decoder_layers] for network in networks]).reshape(
        -1, 2
    )
    macs = transformer_macs(networks)
    return Networks(
        transformer_features(networks),
        macs,
        np.hstack([layers, macs[:, None]]),
        names,
        names,
        np.array([row.number("row") for row in rows]),
    )


def _latency_ms(rows: Sequence[Row]) -> Vector:
    return np.array([row.latency_ms(_ENCODER) + row.latency_ms(_DECODER) for row in rows])


def _warm(fit: Sequence[Row], test: Sequence[Row]) -> tuple[tuple[list[Row], list[Row]], str]:
    """The rows without those of the cold board, and a remark on how many those were."""
    widths = {row.text(_WIDTH) for row in fit}
    usual_ms = {
        width: statistics.median(row.latency_ms(_ENCODER) for row in fit if row.text(_WIDTH) == width)
        for width in widths
    }
    kept = (
        [row for row in fit if not _is_cold(row, usual_ms)],
        [row for row in test if not _is_cold(row, usual_ms)],
    )
    dropped = len(fit) + len(test) - len(kept[0]) - len(kept[1])
    return kept, f"without {dropped} encoders measured on a cold board"


def _is_cold(row: Row, usual_ms: Mapping[str, float]) -> bool:
    return row.latency_ms(_ENCODER) > _COLD_RATIO * usual_ms.get(row.text(_WIDTH), np.inf)

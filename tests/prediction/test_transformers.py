from __future__ import annotations

from dataclasses import replace

from hwtickets.prediction.transformers import Transformer, transformer_features, transformer_macs

BASE = Transformer(512, 6, 2048, 8, 512, 6, 2048, 8, 8, 1)


def test_the_base_transformer_has_its_weights() -> None:
    encoder = 6 * (4 * 512 * 512 + 2 * 512 * 2048)
    decoder = 6 * (8 * 512 * 512 + 2 * 512 * 2048)
    assert transformer_macs([BASE])[0] == encoder + decoder


def test_a_decoder_layer_less_is_less_work() -> None:
    features = transformer_features([BASE, replace(BASE, decoder_layers=5)])
    assert (features.work[1] <= features.work[0]).all()
    assert (features.work[1] < features.work[0]).any()
    assert set(features.traits) >= {"decoder_layers", "encoder_channels"}

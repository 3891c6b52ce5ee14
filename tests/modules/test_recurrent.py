"""Recurrent layers: their hidden channels, and their operators."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.modules.small_networks import hosted, masked, shrunk, some_channels

IMAGE = (1, 8, 12)


class _Reader(nn.Module):
    """Columns of an image, read one after the other, as text readers do."""

    def __init__(self, layer: type[nn.RNNBase], **arguments: object) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.layer = layer(16, 6, batch_first=True, **arguments)
        self.head = nn.Linear(6 * (1 + self.layer.bidirectional), 3)

    def forward(self, x: Tensor) -> Tensor:
        columns = self.conv(x).permute(0, 3, 1, 2).flatten(2)
        return self.head(self.layer(columns)[0])


class _Last(nn.Module):
    """The last state of a layer, and a layer that begins with a state of the caller's."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.GRU(5, 6), nn.LSTM(6, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.one(x.transpose(0, 1))
        first = torch.zeros(1, x.shape[0], 4)
        return self.head(self.other(state, (first, first))[0][0])


@pytest.mark.parametrize(
    ("layer", "arguments", "products"),
    [
        (nn.LSTM, {}, [(16, 24), (24, 6)]),
        (nn.LSTM, {"num_layers": 2}, [(16, 24), (24, 6), (6, 24), (24, 6)]),
        (nn.GRU, {"bidirectional": True}, [(16, 18), (18, 6), (16, 18), (18, 6)]),
        (
            nn.RNN,
            {"num_layers": 2, "bias": False, "bidirectional": True},
            [(16, 6), (6, 6)] * 2 + [(12, 6), (6, 6)] * 2,
        ),
    ],
)
def test_hidden_channels_come_off_all_gates_layers_and_directions(
    layer: type[nn.RNNBase], arguments: dict[str, object], products: list[tuple[int, int]]
) -> None:
    model, space = hosted(lambda: _Reader(layer, **arguments), IMAGE)
    assert {name: unit.width for name, unit in space.units.items()} == {"conv.0": 4, "layer": 6}
    found = [op.spec for op in space.graph(space.dense()) if op.name.startswith("layer/linear")]
    assert [(spec.c_in, spec.c_out) for spec in found] == products
    assert all(spec.height == 6 for spec in found), "one row a column"
    x = torch.randn(2, *IMAGE)
    for seed in (1, 2):
        kept = some_channels(space, seed)
        cut = shrunk(model, space, kept)
        torch.testing.assert_close(cut(x), masked(model, space, kept)(x), atol=1e-6, rtol=1e-5)
        assert cut.body.layer.hidden_size == len(kept["layer"])
        assert cut.body.layer.input_size == 4 * len(kept["conv.0"])


def test_a_layer_that_is_given_its_state_stays_and_says_so() -> None:
    _, space = hosted(_Last, (3, 5))
    assert not space.units
    assert space.unprunable["other"] == "a recurrent layer whose first state is given (in other)"
    assert space.unprunable["one"] == space.unprunable["other"], "it makes what the other one reads"
    assert [op.spec.kind for op in space.graph({})].count("linear") == 5

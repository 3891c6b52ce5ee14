"""Numbers that hosts keep of their channels, after some are gone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.modules.small_networks import Halves, hosted, shrunk


class _Block(nn.Sequential):
    """A convolution and its norm, as torchvision has them: it knows its channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())
        self.in_channels, self.out_channels = c_in, c_out


class _Hosts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle, self.last = _Block(3, 8), _Block(8, 12), _Block(12, 12)
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(12, 5))
        self.last_channel = self.inplanes = 12

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.last(self.middle(self.stem(x))).mean((2, 3)))


def test_numbers_that_can_mean_one_kind_of_channels_alone_are_corrected() -> None:
    model, space = hosted(_Hosts)
    cut = shrunk(
        model, space, {"stem.0": torch.arange(5), "middle.0": torch.arange(7), "last.0": torch.arange(3)}
    )
    body = cut.body
    assert (body.stem.in_channels, body.stem.out_channels) == (3, 5)
    assert (body.middle.in_channels, body.middle.out_channels) == (5, 7)
    # Which of the two it means cannot be told from its size.
    assert (body.last.in_channels, body.last.out_channels) == (12, 12)
    assert body.last_channel == body.inplanes == body.classifier[1].in_features == 3
    assert (body.last[0].in_channels, body.last[0].out_channels) == (7, 3)


def test_numbers_of_any_name_are_found_by_trying() -> None:
    model, space = hosted(Halves)
    cut = shrunk(model, space, {"make.0": torch.arange(5), "join.0": torch.arange(7)})
    assert (cut.body.c, cut.body.out) == (5, 7)
    assert (cut.body.steps, cut.body.times) == (8, 2), "of no use to anybody, so nothing to do with channels"

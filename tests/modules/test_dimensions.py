"""Networks over rows, volumes and features, and oblong windows: priced and timed as any other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import hwtickets as hw
from benchmarks.small_networks import TemporalConvolutions, VolumeUNet
from hwtickets.runtimes import load
from hwtickets.tables.deployed import deployed_model
from hwtickets.tables.skeleton import random_inputs, skeleton_model


class Oblong(nn.Module):
    """Windows and strides of a text reader: an image keeps its width while its height goes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, stride=(2, 1), padding=1), nn.BatchNorm2d(16), nn.ReLU()),
            nn.MaxPool2d((2, 2), (2, 1), (0, 1)),
            *(nn.Conv2d(16, 24, (1, 5), stride=(1, 3), padding=(0, 2)), nn.ReLU(), nn.AvgPool2d((2, 1))),
        )
        self.rows, self.head = nn.Linear(48, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.rows(self.layers(x).flatten(1, 2).transpose(1, 2))).mean(1))


def features() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))


NETWORKS = {
    "rows": (lambda: TemporalConvolutions(4, 16, (1, 4), 3), (4, 40)),
    "volumes": (lambda: VolumeUNet(2, (8, 16), 2), (2, 4, 8, 6)),
    "oblong": (Oblong, (1, 16, 30)),
    "features": (features, (12,)),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    build, shape = NETWORKS[request.param]
    return build().eval(), torch.zeros(1, *shape)


def test_multiplications_are_those_that_torch_counts(case: tuple[nn.Module, Tensor]) -> None:
    model, x = case
    with FlopCounterMode(display=False) as counter:
        model(x)
    space = hw.SearchSpace.from_module(model, x)
    assert space.graph(space.dense()).macs == counter.get_total_flops() / 2


@pytest.mark.parametrize("share", [1, 0.5])
def test_one_input_fits_the_network_and_what_stands_for_it(
    case: tuple[nn.Module, Tensor], share: float
) -> None:
    model, x = case
    space = hw.SearchSpace.from_module(model, x)
    widths = {name: max(1, round(share * width)) for name, width in space.dense().items()}
    graph = space.graph(widths)
    inputs = random_inputs(graph)
    assert inputs["x"].shape == x.shape
    (deployed,) = load(deployed_model(space, space.input_shape, widths)).run(inputs)
    stand_in = load(skeleton_model(graph)).run(inputs)[0]
    assert math.prod(stand_in.shape) == math.prod(deployed.shape) == model(x).numel()

"""A quick part of the zoo; `python -m benchmarks.zoo` tries all of it, with latencies."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.architectures import ZOO, Architecture
from benchmarks.zoo_ticket import Hosted, deviation, exported, kept_channels, outputs
from hwtickets.costs import macs_cost
from hwtickets.modules.calls import body_name
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.recorder import weightless

QUICK = (
    *("unet", "fpn", "deeplab", "densenet", "shufflenetv2", "tcn", "unet3d"),
    *("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"),
)
TOLERANCE = 1e-4


def counted_macs(model: HostedNetwork) -> int:
    """Multiply-accumulates that torch counts in a run without data."""
    bare: nn.Module = weightless(model)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        bare(torch.zeros(1, *model.input_shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def test_the_zoo_has_every_kind_of_network_once() -> None:
    assert len({architecture.name for architecture in ZOO}) == len(ZOO) >= 15
    assert len({architecture.family for architecture in ZOO}) == len(ZOO)


def unaccounted(hosted: Hosted) -> set[str]:
    """Layers of which the space says neither that their outputs can go nor why they stay."""
    shrinking = {
        body_name(member.module)
        for unit in hosted.space.units.values()
        for member in unit.members
        if not member.reads
    }
    layers = {
        name
        for name, part in hosted.model.body.named_modules()
        if isinstance(part, nn.modules.conv._ConvNd | nn.Linear)
    }
    return layers - shrinking - set(hosted.space.unprunable)


@pytest.mark.parametrize("architecture", [one for one in ZOO if one.name in QUICK], ids=lambda one: one.name)
def test_half_of_any_network_is_a_network(architecture: Architecture) -> None:
    if architecture.missing:
        pytest.skip(architecture.missing)
    hosted = Hosted.of(architecture)
    assert not unaccounted(hosted)
    scores, cost = hosted.random_scores(), macs_cost()
    drawn = hosted.drawn({"macs": cost}, 0.5, 8, scores)
    dense = hosted.space.graph(hosted.space.dense())
    assert dense.macs == counted_macs(hosted.model)
    assert 0.4 * dense.macs < drawn.costs["macs"] <= 0.5 * dense.macs
    kept = kept_channels(scores, drawn.widths)
    ticket = hosted.cut(kept)
    found = outputs(ticket, architecture.input_shape)
    assert deviation(found, outputs(hosted.masked(kept), architecture.input_shape)) <= TOLERANCE
    assert deviation(found, outputs(hosted.model, architecture.input_shape)) > TOLERANCE
    assert exported(ticket)[1] <= TOLERANCE

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from benchmarks.small_networks import TemporalConvolutions
from hwtickets.config import SearchConfig
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.search.reconstruction import Reconstruction, reconstructs
from hwtickets.search.tickets import CutNetwork
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.mask import Masks
from hwtickets.training.batchnorm import statistics_of_batches
from tests.modules.residual_networks import Blocks
from tests.modules.small_networks import (
    IMAGE,
    Grouped,
    Joined,
    Plain,
    Residual,
    Sequences,
    Tokens,
    hosted,
    shrunk,
    some_channels,
)

NETWORKS = (Residual, Grouped, Joined, Plain, Tokens, Sequences, TemporalConvolutions)
SHAPES: dict[Callable[[], nn.Module], tuple[int, ...]] = {Sequences: (3, 8), TemporalConvolutions: (8, 32)}


def _images(shape: tuple[int, ...], seed: int, count: int = 96) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def _cut(
    model: HostedNetwork, space: SearchSpace, kept: Mapping[str, Tensor], masks: Masks | None = None
) -> CutNetwork:
    widths = {name: len(index) for name, index in kept.items()}
    return CutNetwork(
        shrunk(model, space, kept), masks or {}, Allocation(widths, {}, {}, 0.0), dict(kept), {}
    )


@torch.no_grad()
def _gap(model: nn.Module, cut: nn.Module, x: Tensor) -> float:
    expected = model(x)
    with statistics_of_batches(cut):
        return float((expected - cut(x)).square().mean())


@pytest.mark.parametrize("network", NETWORKS)
def test_a_cut_network_comes_nearer_to_the_uncut_one(network: Callable[[], nn.Module]) -> None:
    shape = SHAPES.get(network, IMAGE)
    model, space = hosted(network, shape)
    reconstruction = Reconstruction(model, space, space.dense(), _images(shape, 1))
    unseen = _images(shape, 2)
    for seed in (1, 2, 3):
        cut = _cut(model, space, some_channels(space, seed))
        before = _gap(model, cut.model, unseen)
        reconstruction.apply(cut)
        assert _gap(model, cut.model, unseen) < 0.5 * before


@pytest.mark.parametrize(("network", "gone"), [(Blocks, "second"), (Residual, "first"), (Tokens, "wide")])
def test_what_is_left_is_fitted_where_a_branch_is_gone(network: Callable[[], nn.Module], gone: str) -> None:
    model, space = hosted(network)
    kept = some_channels(space, 1) | dict.fromkeys(space.branches[gone], torch.arange(0))
    cut, unseen = _cut(model, space, kept), _images(IMAGE, 2)
    before = _gap(model, cut.model, unseen)
    Reconstruction(model, space, space.dense(), _images(IMAGE, 1)).apply(cut)
    assert _gap(model, cut.model, unseen) < 0.5 * before


class Twins(nn.Module):
    """Every channel between two layers is there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last, self.head = nn.Conv2d(8, 6, 3, 2), nn.Linear(6 * 9, 4)
        with torch.no_grad():
            for layer in (self.first, self.depthwise):
                layer.weight[4:], layer.bias[4:] = layer.weight[:4], layer.bias[:4]

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(torch.relu(self.depthwise(torch.relu(self.first(x)))))
        return self.head(x.flatten(1))


def test_channels_that_others_can_stand_for_are_made_up_for() -> None:
    model, space = hosted(Twins)
    kept = {name: torch.arange(unit.width) for name, unit in space.units.items()}
    kept["first"] = torch.tensor([0, 2, 5, 7])
    cut, unseen = _cut(model, space, kept), _images(IMAGE, 2)
    before = _gap(model, cut.model, unseen)
    Reconstruction(model, space, space.dense(), _images(IMAGE, 1)).apply(cut)
    assert _gap(model, cut.model, unseen) < 1e-2 * before


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, (3, 5), stride=(1, 2), padding=(0, 2), dilation=(2, 1), bias=False),
        nn.Conv2d(4, 8, 3, padding=2, groups=2),
        nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False),
        nn.Conv2d(4, 6, (4, 3), padding="same", dilation=(1, 2)),
        nn.Conv2d(4, 6, 3, stride=2, padding="valid"),
        nn.Conv1d(4, 6, 5, stride=2, padding=3, dilation=2),
        nn.Conv1d(4, 8, 4, padding="same", groups=2, bias=False),
        nn.Conv3d(4, 6, (3, 2, 3), stride=(1, 2, 1), padding=(1, 0, 2), dilation=(1, 1, 2)),
        nn.Conv3d(4, 8, 3, padding="same", groups=4, bias=False),
        nn.Linear(8, 6),
    ],
    ids=str,
)
def test_weights_are_found_again_by_what_they_gave(layer: nn.Module) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(copy.deepcopy(layer), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    shape = {nn.Conv1d: (4, 20), nn.Conv3d: (4, 5, 6, 7)}.get(type(layer), (4, 9, 8))
    body(torch.zeros(1, *shape))
    model = HostedNetwork(body, shape).eval()
    space, cut = space_of(model, "module"), copy.deepcopy(model)
    with torch.no_grad():
        for weight in cut.parameters():
            weight.add_(torch.randn_like(weight))
    whole = {name: torch.arange(unit.width) for name, unit in space.units.items()}
    Reconstruction(model, space, space.dense(), _images(shape, 1, 256)).apply(
        CutNetwork(cut, {}, Allocation(space.dense(), {}, {}, 0.0), whole, {})
    )
    found, known = cut.body[0], model.body[0]
    torch.testing.assert_close(found.weight, known.weight, atol=0.02, rtol=0)
    if known.bias is not None:
        torch.testing.assert_close(found.bias, known.bias, atol=0.02, rtol=0)


def test_a_layer_of_more_inputs_than_rows_gives_what_it_gave_on_these_rows() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(300, 8), nn.ReLU(), nn.Linear(8, 4))
    model = HostedNetwork(body, (3, 10, 10)).eval()
    space, cut, images = space_of(model, "module"), copy.deepcopy(model), _images((3, 10, 10), 1, 60)
    with torch.no_grad():
        cut.body[1].weight.add_(torch.randn_like(cut.body[1].weight))
    before, whole = _gap(model, cut, images), {name: torch.arange(u.width) for name, u in space.units.items()}
    network = CutNetwork(cut, {}, Allocation(space.dense(), {}, {}, 0.0), whole, {})
    Reconstruction(model, space, space.dense(), images).apply(network)
    assert _gap(model, cut, images) < 0.01 * before


class LeftAlone(nn.Module):
    """Layers that are not to be fitted, each for a reason of its own, and one that is."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.around = nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular")
        self.frozen = nn.Conv2d(6, 6, 1).requires_grad_(False)
        self.masked = nn.Conv2d(6, 6, 1)
        self.one, self.other = nn.Linear(6, 6), nn.Linear(6, 6)
        self.other.weight = self.one.weight
        self.silent, self.head = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.twice(torch.relu(self.twice(torch.relu(self.first(x))))))
        x = torch.relu(self.masked(self.frozen(self.around(x)))).mean((2, 3))
        x = self.other(torch.relu(self.one(x)))
        return self.head(x + self.silent(0 * x))


def test_layers_that_cannot_be_fitted_stay_as_they_are() -> None:
    model, space = hosted(LeftAlone)
    cut = copy.deepcopy(model)
    mask = torch.rand(6, 6, 1, 1, generator=torch.Generator().manual_seed(0)) < 0.5
    whole = {name: torch.arange(unit.width) for name, unit in space.units.items()}
    drawn = Allocation(space.dense(), {}, {}, 0.0)
    with torch.no_grad():
        cut.body.first.weight.mul_(0.5)
    before = {name: tensor.clone() for name, tensor in cut.state_dict().items()}
    network = CutNetwork(cut, {"body.masked.weight": mask}, drawn, whole, {})
    Reconstruction(model, space, space.dense(), _images(IMAGE, 1)).apply(network)
    changed = {
        name.split(".")[1] for name, tensor in cut.state_dict().items() if not tensor.equal(before[name])
    }
    assert {"first", "head"} <= changed <= {"first", "head", "silent"}
    # Nothing came in.
    torch.testing.assert_close(cut.body.silent.weight, before["body.silent.weight"])


def test_pipelines_that_score_a_trained_network_once_fit_weights_by_themselves() -> None:
    def asked(**keys: object) -> bool:
        always = {"budgets": {"macs": "50%"}, "checkpoint": "trained.safetensors"}
        return reconstructs(SearchConfig.model_validate({**always, **keys}))

    assert asked(pipeline="post-training") and not asked(pipeline="two-in-one")
    assert not asked(pipeline="post-training", reconstruct=False)
    assert asked(pipeline="two-in-one", reconstruct=True)
    assert not asked(pipeline="random", reconstruct=True), "there are no weights to go on from"

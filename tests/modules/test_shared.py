"""Layers that are called twice, and weights that several layers share."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwtickets.modules.gates import add_gates, fold_gates
from hwtickets.modules.recorder import weightless
from hwtickets.space.slicing import keep_channels
from tests.modules.small_networks import IMAGE, hosted, masked, shrunk, some_channels


def _conv(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out))


class _Twice(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.same = _conv(3, 8), _conv(8, 8)
        self.again, self.middle, self.head = self.same, nn.Conv2d(8, 6, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.again(F.relu(self.same(F.relu(self.stem(x))))))
        return self.head(F.relu(self.middle(x)).mean((2, 3)))


class _Tied(nn.Module):
    """Two layers with one kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.other = _conv(3, 8), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.other.weight = self.one.weight
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.other(F.relu(self.one(F.relu(self.stem(x))))))
        return self.head(x.mean((2, 3)))


class _Words(nn.Module):
    """Words are told by the table that they were read from, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.middle = nn.Embedding(11, 8), nn.Linear(8, 8)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.middle(self.words((x * 5).abs().long().clamp(max=10)))))


class _Mirror(nn.Module):
    """A layer whose weights another product reads, the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.there, self.middle, self.back = nn.Linear(6, 10), nn.Linear(10, 7), nn.Linear(7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.back(F.relu(self.middle(F.relu(self.there(x))))))
        return F.linear(x, self.there.weight.t())


NETWORKS = {
    _Twice: (IMAGE, {"stem.0": 8, "middle": 6}),
    _Tied: (IMAGE, {"stem.0": 8}),
    _Words: ((4,), {"middle": 8}),
    _Mirror: ((6,), {"there": 10, "middle": 7}),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_shared_is_cut_once_for_all(network: Callable[[], nn.Module]) -> None:
    shape, units = NETWORKS[network]  # type: ignore[index]
    model, space = hosted(network, shape)
    assert {name: unit.width for name, unit in space.units.items()} == units
    x = torch.randn(2, *shape)
    for seed in (1, 2):
        kept = some_channels(space, seed)
        cut = shrunk(model, space, kept)
        torch.testing.assert_close(cut(x), masked(model, space, kept)(x), atol=1e-6, rtol=1e-5)
        assert len(list(cut.parameters())) == len(list(model.parameters())), "what was tied still is"


@pytest.mark.parametrize("network", NETWORKS)
def test_companions_follow_under_all_names_and_gates_fold(network: Callable[[], nn.Module]) -> None:
    shape = NETWORKS[network][0]  # type: ignore[index]
    model, space = hosted(network, shape)
    units = space.units.values()
    add_gates(model, units)
    for unit in units:
        if unit.gates:
            nn.init.uniform_(model.get_submodule(unit.importance).weight, 0.5, 2.0)
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    keep_channels(model, units, some_channels(space, 3), companions=[average])
    assert all(average[name].equal(tensor) for name, tensor in model.state_dict().items())
    x = torch.randn(2, *shape)
    gated = model(x)
    fold_gates(model, units)
    torch.testing.assert_close(model(x), gated, atol=1e-5, rtol=1e-5)


def test_a_copy_without_weights_shares_what_was_shared() -> None:
    body = _Tied()
    bare = weightless(body)
    assert bare.one.weight is bare.other.weight and bare.one.weight.is_meta
    assert copy.deepcopy(bare).other.weight.shape == body.one.weight.shape

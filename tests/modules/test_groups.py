"""Units of modules: what goes together, what stays and why, and that removing is the same as masking."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hwtickets.space.slicing import keep_channels
from tests.modules.small_networks import (
    IMAGE,
    Grouped,
    Halves,
    Joined,
    Plain,
    Residual,
    Sequences,
    Tokens,
    hosted,
    masked,
    shrunk,
    some_channels,
)

UNITS = {
    Residual: {"stem.0": 8, "first.0": 12, "third.0": 16, "fourth.0": 16},
    Grouped: {
        "stem.0": 8,
        "squeeze": 4,
        "widen.0": 8,
        "again.0": 8,
        "few.0": 4,
        "last": 4,
    },
    Joined: {"one.0": 8, "other.0": 4, "wide.0": 4},
    Halves: {"make.0": 8, "blocks.0.0.0": 6, "join.0": 10},
    Plain: {"first": 8, "second": 12, "hidden": 10},
    Tokens: {"attention.qkv": 4, "wide": 24},
    Sequences: {
        "encoder.layers.0.self_attn": 2,
        "encoder.layers.0.linear1": 12,
        "recurrent": 6,
        "between": 4,
        "gated": 5,
    },
}


def _shape(network: Callable[[], nn.Module]) -> tuple[int, ...]:
    return (3, 8) if network is Sequences else IMAGE


@pytest.mark.parametrize("network", UNITS)
def test_units_are_found_and_a_cut_network_is_the_masked_one(network: Callable[[], nn.Module]) -> None:
    model, space = hosted(network, _shape(network))
    assert {name: unit.width for name, unit in space.units.items()} == UNITS[network]
    x = torch.randn(2, *_shape(network))
    for seed in (1, 2):
        kept = some_channels(space, seed)
        cut = shrunk(model, space, kept)
        torch.testing.assert_close(cut(x), masked(model, space, kept)(x), atol=1e-5, rtol=1e-5)
        assert cut.present == {name: len(index) for name, index in kept.items()}


def test_cutting_twice_is_cutting_once() -> None:
    model, space = hosted(Joined)
    first, second = some_channels(space, 3), {}
    for name, index in first.items():
        second[name] = torch.arange(0, len(index), 2)
    once = shrunk(model, space, {name: index[second[name]] for name, index in first.items()})
    twice = shrunk(model, space, first)
    keep_channels(twice, space.units.values(), second)
    x = torch.randn(2, *IMAGE)
    torch.testing.assert_close(twice(x), once(x), atol=1e-6, rtol=1e-6)


def test_what_stays_is_listed_with_its_reason() -> None:
    _, space = hosted(Tokens)
    assert "output of the network" in space.unprunable["head"]
    assert "LayerNorm" in space.unprunable["patch"] and "norm1" in space.unprunable["patch"]
    assert set(space.unprunable) == {"patch", "attention.proj", "narrow", "head"}


def test_groups_of_convolutions_stay_whole() -> None:
    model, space = hosted(Grouped)
    cut = shrunk(
        model, space, {"stem.0": torch.arange(3), "widen.0": torch.arange(5), "again.0": torch.arange(2)}
    )
    depthwise, many, few = cut.body.depthwise[0], cut.body.many[0], cut.body.few[0]
    assert (depthwise.groups, depthwise.in_channels, depthwise.out_channels) == (3, 3, 3)
    assert (many.groups, many.in_channels, many.weight.shape[1]) == (5, 10, 2)
    assert (few.groups, few.in_channels, few.weight.shape[1]) == (2, 4, 2)


def test_same_couplings_as_torch_pruning_finds() -> None:
    import torch_pruning as tp

    model, space = hosted(Residual)
    names = {module: name for name, module in model.named_modules()}
    graph = tp.DependencyGraph().build_dependency(model, torch.zeros(1, *IMAGE))
    for name, unit in space.units.items():
        layer = model.get_submodule(f"body.{name}")
        group = graph.get_pruning_group(layer, tp.prune_conv_out_channels, list(range(unit.width)))
        found = {
            names[dependency.target.module] for dependency, _ in group if dependency.target.module in names
        }
        layers = {module for module in found if list(model.get_submodule(module).parameters(recurse=False))}
        assert {member.module for member in unit.members} == layers


class _Sliced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(torch.relu(self.first(x)))[:, :4])


class _Fixed(nn.Module):
    """Its forward has a size written down, and computes with another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.beside = nn.Linear(6, 8), nn.Linear(6, 8)
        self.second, self.head = nn.Linear(8, 10), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x) + self.beside(x)).view(-1, 2, 4).flatten(1)
        x = self.second(x)
        return self.head(x * x.shape[1] ** -0.5)


@pytest.mark.parametrize("take", [lambda x: x[:, :1], lambda x: x.split(1, 1)[0], lambda x: x[:, 3][:, None]])
def test_one_channel_that_is_picked_holds_all(take: Callable[[Tensor], Tensor]) -> None:
    class Picked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(1, 8, 1), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.second(take(self.first(x))).mean((2, 3)))

    _, space = hosted(Picked)
    assert list(space.units) == ["second"] and "first" in space.unprunable


def test_what_only_a_trial_shows_is_listed() -> None:
    _, sliced = hosted(_Sliced, (6,))
    assert list(sliced.units) == ["first"] and "sliced" in sliced.unprunable["second"]
    _, fixed = hosted(_Fixed, (6,))
    assert not fixed.units
    assert "needs all of them" in fixed.unprunable["first"] == fixed.unprunable["beside"]
    assert "computes with their number" in fixed.unprunable["second"]


class _Own(nn.Module):
    """Weights of its own, a transposed convolution of groups, a weight that is computed, a single output."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 4, 2, groups=2)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 1))
        self.first, self.w = nn.Conv2d(3, 8, 1), nn.Parameter(torch.randn(4, 6))
        self.gate, self.head, self.before = nn.Linear(6, 1), nn.Linear(6, 2), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(self.up(self.normed(self.first(x))))
        x = torch.einsum("bc,cd->bd", x.mean((2, 3)), self.w)
        return self.head(x) * torch.sigmoid(self.gate(x))


def test_no_layer_is_left_out() -> None:
    _, space = hosted(_Own)
    # `before` can go, and with it what of `w` reads it; what `w` makes cannot.
    assert list(space.units) == ["before"]
    assert set(space.unprunable) == {"first", "normed", "up", "w", "gate", "head"}
    assert "grouped transposed" in space.unprunable["up"]
    assert "not followed" in space.unprunable["normed"] and space.unprunable["gate"] == "it makes one channel"


def test_a_branch_that_is_added_by_a_share_can_go() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.wide, self.back = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            self.head = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(torch.add(x, self.back(torch.relu(self.wide(x))), alpha=0.5).mean((2, 3)))

    model, space = hosted(Shared)
    assert list(space.branches.values()) == [["wide"]]
    cut = shrunk(model, space, {"wide": torch.zeros(0, dtype=torch.int64)})
    body = model.body
    x = torch.randn(2, *IMAGE)
    torch.testing.assert_close(cut(x), body.head(body.stem(x).mean((2, 3))))


class _Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = nn.functional.batch_norm(rows, None, None, training=True).reshape_as(self.weight)
        return nn.functional.conv2d(x, weight, self.bias)


def test_standardised_weights_are_a_reason() -> None:
    layers = [nn.Conv2d(3, 8, 1), nn.ReLU(), _Standardised(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    _, space = hosted(lambda: nn.Sequential(*layers, nn.Linear(4, 2)))
    assert space.unprunable["0"].startswith("its weights are standardised") and "0" not in space.units

"""Factors of units: the score of a channel is the change of a linear loss without it, whatever its ways."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwtickets.modules.gates import add_gates, fold_gates
from hwtickets.space.slicing import keep_channels
from hwtickets.sparsity.criteria import build_importance
from hwtickets.sparsity.weight_importance import Evidence
from tests.modules.residual_networks import Blocks
from tests.modules.small_networks import Residual, hosted, shrunk


class _Stream(nn.Module):
    """A residual stream that two layers write to and two read, without norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.c1 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.c2, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)
        # Without this way a channel's output is a linear function of its gate.
        nn.init.zeros_(self.c1.weight)
        nn.init.zeros_(self.stem.weight[:4])  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.c2(self.c1(x))).mean((2, 3)))


class _HalfNormed(nn.Module):
    """A sum of a layer with a norm and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.other = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.norm(self.one(x)) + self.other(x)).mean((2, 3)))


class _GroupedReader(_HalfNormed):
    """The same, read by a convolution of groups whose inputs no gate scales."""

    def __init__(self) -> None:
        super().__init__()
        self.few = nn.Conv2d(8, 6, 1, groups=2)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.few(self.norm(self.one(x)) + self.other(x)).mean((2, 3)))


class _Ghost(nn.Module):
    """A depthwise convolution with its norm beside what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.make, self.first = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.cheap, self.second = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.make(x))
        return self.head(torch.cat([x, self.second(self.cheap(x))], 1).mean((2, 3)))


class _Chain(nn.Module):
    """A depthwise convolution over rows of places, a norm before and a norm behind."""

    def __init__(self) -> None:
        super().__init__()
        self.make, self.first = nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8)
        self.cheap, self.second = nn.Conv1d(8, 8, 3, groups=8), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(self.cheap(F.relu(self.first(self.make(x.flatten(2)))))))
        return self.head(x.mean(2))


class _Recurrent(nn.Module):
    """A recurrent layer whose outputs two layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.last, self.mean = nn.LSTM(3, 8), nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x.flatten(2).permute(2, 0, 1))[0]
        return self.last(rows[-1]) + self.mean(rows.mean(0))


#: The factors of the units of each, by the name of the module that holds them.
FACTORS: dict[type[nn.Module], dict[str, list[str]]] = {
    _Stream: {"stem": ["gates.stem"], "c1": ["gates.c1"]},
    _HalfNormed: {"one": ["gates.one"]},
    _GroupedReader: {"one": ["body.norm", "gates.one"], "few": ["gates.few"]},
    _Ghost: {"make": ["gates.make"]},
    _Chain: {"make": ["body.second"]},
    _Recurrent: {"rows": ["gates.rows"]},
    Residual: {
        "stem.0": ["body.stem.1", "body.second.1"],
        "first.0": ["body.first.1"],
        "third.0": ["body.third.1"],
        "fourth.0": ["body.fourth.1", "body.beside.1"],
    },
}


@pytest.mark.parametrize("network", FACTORS)
def test_scales_that_stand_for_a_channel_on_all_of_its_ways(network: type[nn.Module]) -> None:
    _, space = hosted(network)
    found = {name: [factor.module for factor in unit.factors] for name, unit in space.units.items()}
    assert found == FACTORS[network]


def _frozen(network: type[nn.Module], part: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = network()
        module.get_submodule(part).requires_grad_(False)
        return module

    return build


@pytest.mark.parametrize(
    ("network", "part", "expected"),
    [
        (_Chain, "second", {"make": ["gates.make"]}),
        (_Chain, "make", {"make": ["body.second"]}),
        (_HalfNormed, "norm", {"one": ["gates.one"]}),
        (_GroupedReader, "norm", {"few": ["gates.few"]}),
        (Residual, "second", {"stem.0": ["gates.stem/0"]}),
    ],
)
def test_a_gate_stands_for_scales_that_are_frozen(
    network: type[nn.Module], part: str, expected: dict[str, list[str]]
) -> None:
    _, space = hosted(_frozen(network, part))
    found = {name: [factor.module for factor in unit.factors] for name, unit in space.units.items()}
    assert found == FACTORS[network] | expected if network is Residual else found == expected
    if network is _GroupedReader:
        assert "no batch norm of it learns" in space.unprunable["one"]


def _loss(outputs: Tensor, target: Tensor) -> Tensor:
    return (outputs * target).sum()


@pytest.mark.parametrize(
    "network", [_Stream, _HalfNormed, _Ghost, _GroupedReader, _frozen(_HalfNormed, "norm")]
)
def test_the_score_is_the_squared_change_without_the_channel(network: Callable[[], nn.Module]) -> None:
    model, space = hosted(network)
    add_gates(model, units := space.units.values())
    x, target = torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    scores = build_importance("taylor").measure(Evidence(model, lambda: [(x, target)], _loss), units)
    fold_gates(model, units)
    unit = next(iter(units))
    for channel in range(unit.width):
        others = torch.tensor([one for one in range(unit.width) if one != channel])
        change = _loss(model(x), target) - _loss(shrunk(model, space, {unit.name: others})(x), target)
        expected = float(change.detach() ** 2)
        assert float(scores[unit.name][channel]) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_gate_of_several_layers_folds_into_each() -> None:
    model, space = hosted(_Stream)
    add_gates(model, units := space.units.values())
    gate = model.get_submodule(space.units["stem"].importance)
    nn.init.uniform_(gate.weight, 0.5, 2.0)
    x = torch.randn(2, 3, 8, 8)
    gated, copied = model(x), copy.deepcopy(model)
    nn.init.ones_(gate.weight)
    torch.testing.assert_close(copied(x), gated)  # A copy has gates of its own.
    keep_channels(copied, units, {"stem": torch.arange(1, 8)})
    cut = copied(x)
    fold_gates(copied, units)
    torch.testing.assert_close(copied(x), cut)
    assert not [name for name in copied.state_dict() if "gate" in name]


def test_a_gate_outlives_the_branches_that_its_layers_lie_in() -> None:
    class Unnormed(Blocks):
        def __init__(self) -> None:
            super().__init__()
            for name, part in list(self.named_modules()):
                if isinstance(part, nn.BatchNorm2d):
                    parent, _, own = name.rpartition(".")
                    setattr(self.get_submodule(parent), own, nn.Identity())

    model, space = hosted(Unnormed)
    add_gates(model, units := space.units.values())
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    units_gone = next(iter(space.branches.values()))
    empty = torch.zeros(0, dtype=torch.int64)
    keep_channels(model, units, dict.fromkeys(units_gone, empty), companions=[average])
    left = {unit.importance for unit in units if unit.name not in units_gone}
    assert {name for name, _ in model.named_modules() if name.startswith("gates.")} == left
    assert set(average) == set(model.state_dict())
    x = torch.randn(2, *model.input_shape)
    before = model(x)
    fold_gates(model, units)
    torch.testing.assert_close(model(x), before)

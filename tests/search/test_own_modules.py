"""What a search does to a network that is no supernet of ours: gates, penalty, several processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hwtickets.modules.gates import Gate, add_gates, fold_gates
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.live import register
from hwtickets.modules.weights import take_weights
from hwtickets.recipes.lineage import Lineage
from hwtickets.search.controller import BudgetController
from hwtickets.search.penalty import PricedPenalty
from hwtickets.search.prices import UnitPrice
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.training.packets import network_packet, unpack_network
from tests.modules.small_networks import Tokens


class Net(nn.Module):
    """A residual stream that two norms write to, and a layer without a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv, self.bn = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.mid, self.head = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        return self.head(torch.relu(self.mid(torch.relu(x + self.bn(self.conv(x))))))


@pytest.fixture
def hosted() -> tuple[HostedNetwork, SearchSpace]:
    torch.manual_seed(0)
    body = Net()
    model = HostedNetwork(body, (1, 5, 5), reference=register(body))
    return model, space_of(model, "module")


def test_the_penalty_pulls_at_every_norm_of_a_unit_alike(hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    model, space = hosted
    add_gates(model, space.units.values())
    assert len(space.units["stem"].factors) == 2
    penalty = PricedPenalty(space.units, BudgetController(1.0), ramp_steps=1)
    penalty.set_prices({"stem": UnitPrice(2.0, 0.0), "mid": UnitPrice(1.0, 0.0)}, space.dense())
    loop: Any = SimpleNamespace(model=model, rate=0.1, step=0)
    penalty.after_step(loop)
    mean = (2.0 * 6 + 1.0 * 8) / 14
    gate = model.get_submodule(space.units["mid"].importance)
    for scale, price in ((model.body.norm, 2.0), (model.body.bn, 2.0), (gate, 1.0)):
        torch.testing.assert_close(scale.weight, torch.full_like(scale.weight, 1 - 0.1 * price / mean))


def test_the_scale_of_a_head_is_pulled_as_one_of_its_channels_would_be() -> None:
    torch.manual_seed(0)
    model = HostedNetwork(Tokens(), (3, 8, 8), reference=register(Tokens()))
    space = space_of(model, "module")
    add_gates(model, space.units.values())
    assert {name: unit.channels_per_scale for name, unit in space.units.items()} == {
        "attention.qkv": 4,
        "wide": 1,
    }
    penalty = PricedPenalty(space.units, BudgetController(1.0), ramp_steps=1)
    # A head costs as much as its four channels would.
    penalty.set_prices({"attention.qkv": UnitPrice(4.0, 0.0), "wide": UnitPrice(1.0, 0.0)}, space.dense())
    loop: Any = SimpleNamespace(model=model, rate=0.1, step=0)
    penalty.after_step(loop)
    for unit in space.units.values():
        scale = model.get_submodule(unit.importance).weight
        torch.testing.assert_close(scale, torch.full_like(scale, 0.9))


def _gated(model: HostedNetwork, space: SearchSpace) -> HostedNetwork:
    """The network as it is in the middle of a search: cut, its gates no longer one."""
    units = space.units.values()
    add_gates(model, units)
    keep_channels(model, units, {"stem": torch.tensor([0, 2, 5]), "mid": torch.tensor([1, 2, 4, 7])})
    for module in model.modules():
        if isinstance(module, Gate):
            nn.init.uniform_(module.weight, 0.2, 2.0)
    return model.eval()


def test_weights_of_a_search_are_taken_over_with_their_gates_and_folded(
    hosted: tuple[HostedNetwork, SearchSpace],
) -> None:
    model, space = hosted
    _gated(model, space)
    fresh = HostedNetwork(Net(), (1, 5, 5))
    units = space.units.values()
    keep_channels(fresh, units, {"stem": torch.arange(3), "mid": torch.arange(4)})
    plain = set(fresh.state_dict())
    take_weights(fresh, units, model.state_dict())
    x = torch.randn(2, 1, 5, 5)
    torch.testing.assert_close(fresh.eval()(x), model(x))
    fold_gates(fresh, units)
    assert set(fresh.state_dict()) == plain
    torch.testing.assert_close(fresh(x), model(x), rtol=1e-4, atol=1e-5)


def test_other_processes_get_the_network_with_its_gates(hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    model, space = hosted
    _gated(model, space)
    packet, tensors = network_packet(model, space.units.values())
    rest = [*tensors, torch.ones(1)]
    received, units = unpack_network(packet, rest)
    assert len(rest) == 1 and [unit.name for unit in units] == list(space.units)
    x = torch.randn(2, 1, 5, 5)
    torch.testing.assert_close(received.eval()(x), model(x))


def test_new_random_weights_are_new(hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    model, space = hosted
    widths = {**space.dense(), "mid": 4}
    lineage = Lineage(space, model.sizes, model.classes, widths, {}, None)
    torch.manual_seed(3)
    weights = lineage.fresh(1)
    assert weights["body.mid.weight"].shape == (4, 6, 1, 1)
    assert not torch.equal(weights["body.stem.weight"], model.body.stem.weight)
    again = lineage.fresh(1)
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())

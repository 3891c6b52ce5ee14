from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.modules.gates import add_gates
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.sparsity.criteria import IMPORTANCES, build_importance
from hwtickets.sparsity.weight_importance import Evidence
from tests.modules.small_networks import FusedAttention

#: Two hidden channels: rows (1, 2) and (-3, 0), read with the weights (2, 1).
FIRST, SECOND = [[1.0, 2.0], [-3.0, 0.0]], [[2.0, 1.0]]


class _Two(nn.Module):
    """Two linear layers of 1x1 convolutions without offsets: everything about them can be said by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 1, bias=False)
        self.second = nn.Conv2d(2, 1, 1, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor(FIRST)[..., None, None])
            self.second.weight.copy_(torch.tensor(SECOND)[..., None, None])

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


@pytest.fixture
def hosted() -> tuple[HostedNetwork, SearchSpace]:
    model = HostedNetwork(_Two(), (2, 1, 1))
    space = space_of(model, "module")
    add_gates(model, space.units.values())
    return model, space


def _scores(name: str, model: HostedNetwork, space: SearchSpace, x: list[float]) -> list[float]:
    """Scores of the hidden channels for a loss that is the output itself, at one input of two channels."""
    batch = torch.tensor(x).view(1, 2, 1, 1), torch.zeros(1)
    evidence = Evidence(model, lambda: [batch], lambda outputs, _: outputs.sum())
    return build_importance(name).measure(evidence, space.units.values())["first"].tolist()


# At x = (1, 1): hidden = (3, -3), output = 2 * 3 + 1 * -3 = 3; dL/dfirst = (2, 2; 1, 1).
BY_HAND = {
    # Gates of 1: dL/dgate = the channel's part of the output = sum of w * dL/dw: 1*2 + 2*2 and -3*1 + 0*1.
    "taylor": [6.0**2, (-3.0) ** 2],
    # Sums 3 and 3 of a mean of 3; roots of 1 + 4 and 9 over their mean; 5 + 4 and 9 + 1 over theirs.
    "magnitude-l1": [1.0, 1.0],
    "magnitude-l2": [5**0.5 / (0.5 * (5**0.5 + 3)), 3 / (0.5 * (5**0.5 + 3))],
    "magnitude-group": [9 / 9.5, 10 / 9.5],
    # |1*2| + |2*2| and |-3*1| + 0.
    "snip": [6.0, 3.0],
    # R = 2*(1 + 2) + 1*(3 + 0) for an input of ones: what flows through each channel.
    "synflow": [6.0, 3.0],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_scores_by_hand(name: str, hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    assert _scores(name, *hosted, [1.0, 1.0]) == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", BY_HAND)
def test_frozen_weights_tell_as_much(name: str, hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    model, _ = hosted
    model.body.first.requires_grad_(False)
    assert _scores(name, *hosted, [1.0, 1.0]) == pytest.approx(BY_HAND[name])
    assert not model.body.first.weight.requires_grad and model.body.second.weight.requires_grad


def test_the_gradient_flow_by_hand(hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    # L = y, y = s f x. Over the four weights that are scored, f, L is linear, so its Hessian is zero ...
    assert _scores("grasp", *hosted, [1.0, 1.0]) == [0.0, 0.0]
    # ... and for L = y^2 / 2: g = y dy/df and H = (dy/df)(dy/df)^T, so Hg = y |dy/df|^2 dy/df. With y = 3,
    # dy/df = (2, 2; 1, 1), |dy/df|^2 = 10 the sums of w * Hg are 30 * 6 and 30 * -3; the lowest counts as 0.
    model, space = hosted
    batch = torch.ones(1, 2, 1, 1), torch.zeros(1)
    evidence = Evidence(model, lambda: [batch], lambda outputs, _: outputs.square().sum() / 2)
    scores = build_importance("grasp").measure(evidence, space.units.values())
    assert scores["first"].tolist() == pytest.approx([270.0, 0.0])


def test_scales_of_gates_say_nothing_until_they_were_trained(
    hosted: tuple[HostedNetwork, SearchSpace],
) -> None:
    with pytest.raises(HwticketsError, match=r"no batch norm scales first, .* not trained, .*; use taylor"):
        _scores("bn-scale", *hosted, [1.0, 1.0])
    gate = hosted[0].get_submodule(hosted[1].units["first"].importance)
    gate.weight.data.copy_(torch.tensor([0.5, -2.0]))
    assert _scores("bn-scale", *hosted, [1.0, 1.0]) == [0.5, 2.0]


class _Attending(nn.Module):
    """A transformer's block, and a recurrent layer with its biases behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.attention = nn.Linear(4, 8), nn.LayerNorm(8), FusedAttention(8, 4)
        self.rows, self.head = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.attention(self.norm(x))
        return self.head(self.rows(x.softmax(1) + x)[0][:, -1])


@pytest.mark.parametrize("name", ["grasp", "synflow"])
def test_attention_is_scored(name: str) -> None:
    torch.manual_seed(0)
    model = HostedNetwork(_Attending(), (5, 4)).eval()
    units = space_of(model, "module").units.values()
    batch = torch.randn(4, 5, 4), torch.randn(4, 3)
    evidence = Evidence(model, lambda: [batch], lambda outputs, y: (outputs - y).square().mean())
    scores = build_importance(name).measure(evidence, units)
    assert all((score >= 0).all() and score.max() > score.min() for score in scores.values())
    assert set(scores) == {"attention.qkv", "rows"}


def test_the_flow_of_a_network_that_takes_differences_is_refused() -> None:
    class Difference(_Two):
        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x) - 3 * self.first(x))

    model = HostedNetwork(Difference(), (2, 1, 1))
    with pytest.raises(HwticketsError, match=r"importance synflow: the flow through .*weight is negative"):
        _scores("synflow", model, space_of(model, "module"), [1.0, 1.0])


def test_random_scores_follow_the_seed(hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    model, space = hosted

    def drawn(seed: int) -> list[float]:
        evidence = Evidence(model, list, lambda outputs, _: outputs.sum(), seed)
        return build_importance("random").measure(evidence, space.units.values())["first"].tolist()

    assert drawn(1) == drawn(1) != drawn(2)


class _Joined(nn.Module):
    """Two convolutions side by side, normalised as one: their channels lie behind one another."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 1)
        self.norm, self.out = nn.BatchNorm2d(8), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(torch.cat([self.left(x), self.right(x)], 1)))


@pytest.mark.parametrize("name", sorted(set(IMPORTANCES) - {"random"}))
def test_scores_of_a_cut_network_are_those_of_its_channels(name: str) -> None:
    torch.manual_seed(0)
    model = HostedNetwork(_Joined(), (2, 3, 3)).eval()
    nn.init.uniform_(model.body.norm.weight, 0.5, 1.5)
    units = space_of(model, "module").units
    # What is cut adds nothing to the output, so that the loss stays the same.
    with torch.no_grad():
        model.body.out.weight[:, [1, 6]] = 0.0
    batch = torch.randn(4, 2, 3, 3), torch.randn(4, 3, 3, 3)
    evidence = Evidence(model, lambda: [batch], lambda outputs, y: (outputs - y).square().mean())
    before = build_importance(name).measure(evidence, units.values())
    kept = {"left": torch.tensor([0, 2, 3]), "right": torch.tensor([0, 1, 3])}
    keep_channels(model, units.values(), kept)
    after = build_importance(name).measure(evidence, units.values())
    for unit, channels in kept.items():
        own = before[unit][channels]
        if name.startswith("magnitude"):
            own = own / own.mean()
        if name == "grasp":
            own, after[unit] = own - own.min(), after[unit] - after[unit].min()
        torch.testing.assert_close(after[unit], own, rtol=1e-4, atol=1e-6)


def test_scores_that_are_no_numbers_name_the_unit(hosted: tuple[HostedNetwork, SearchSpace]) -> None:
    for name in ("snip", "taylor"):
        with pytest.raises(HwticketsError, match=f"importance {name}: the scores of first are not finite"):
            _scores(name, *hosted, [float("nan"), 1.0])


def test_an_unknown_importance_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'taylor'"):
        build_importance("tailor")

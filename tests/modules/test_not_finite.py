from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.not_finite import where_not_finite

NAN = float("nan")


class Logarithm(nn.Module):
    """Of numbers below zero as well."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-x.abs())


class Last(nn.Module):
    """Nothing but its forward comes after the only layer."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.only(x) / 0


class Ratio(nn.Module):
    """Divides by the first of its inputs, in a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x) / x[:, :1])


def _network() -> HostedNetwork:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Linear(4, 2))
    return HostedNetwork(body, (4,)).eval()


def test_a_network_of_numbers_names_no_layer() -> None:
    assert where_not_finite(_network(), torch.ones(3, 4)) == ""


@pytest.mark.parametrize(
    ("tensor", "layer"), [("0.weight", "0"), ("1.0.bias", "1.0"), ("1.1.running_var", "1.1"), ("2.bias", "2")]
)
def test_the_layer_that_holds_the_number_is_named(tensor: str, layer: str) -> None:
    model = _network()
    model.body.state_dict()[tensor].view(-1)[1] = NAN
    said = where_not_finite(model, torch.ones(3, 4))
    assert said == f"from {layer} on, whose weights or statistics are not finite either"


def test_a_layer_of_finite_weights_may_overflow() -> None:
    model = _network()
    with torch.no_grad():
        model.body[1][0].weight.fill_(1e38)
    assert where_not_finite(model, torch.full((3, 4), 1e3)) == "from 1.0 on"


def test_what_no_layer_computes_is_in_the_forward_around_them() -> None:
    x = torch.ones(3, 4)
    x[1, 0] = 0
    assert where_not_finite(Ratio(), x) == "from what goes into head on"
    unnamed = HostedNetwork(nn.Sequential(nn.Linear(4, 4), Logarithm()), (4,))
    assert where_not_finite(unnamed, x) == "from 1 on"
    assert where_not_finite(HostedNetwork(Last(), (4,)), x) == "in its own forward"

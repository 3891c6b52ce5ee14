"""Numbers that a forward reads out of tensors: those that no input changes are known, others are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from tests.modules.small_networks import IMAGE, hosted, masked, shrunk, some_channels


class _Reading(nn.Module):
    """A network that reads a number in its forward; subclasses say where."""

    strides: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(IMAGE[0], 12, 3, padding=1)
        self.last = nn.Conv2d(12, 5, 1)
        self.register_buffer("strides", torch.tensor([2.0, 4.0]))
        self.grid = torch.tensor([3, 1])

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return (self.last(x) * self.number(x)).mean((2, 3))

    def number(self, x: Tensor) -> float:
        raise NotImplementedError


class FromABuffer(_Reading):
    def number(self, x: Tensor) -> float:
        # As detectors make their anchors.
        maps = x.new_full((4, 1), self.strides[1])  # type: ignore[call-overload]
        return float(maps.shape[0]) * self.strides.tolist()[0]


class FromAnAttribute(_Reading):
    def number(self, x: Tensor) -> float:
        return float(self.grid.max()) if self.grid[0] > self.grid[1] else 0.0


class FromWhatIsMade(_Reading):
    def number(self, x: Tensor) -> float:
        first, second = torch.arange(x.shape[-1], device=x.device).chunk(2)
        return float(second.sum() - first.sum()) / 100


class FromTheInput(_Reading):
    def number(self, x: Tensor) -> float:
        return float(x.sum())


class FromAWeight(_Reading):
    def number(self, x: Tensor) -> float:
        return float(self.first.weight[0, 0, 0, 0])


class FromChance(_Reading):
    def number(self, x: Tensor) -> float:
        return float(torch.rand(1, device=x.device))


class FromWhatWasOverwritten(_Reading):
    def number(self, x: Tensor) -> float:
        made = torch.zeros(2, device=x.device)
        second = made[1]
        made[1] = 7.0
        return float(second)


@pytest.mark.parametrize("network", [FromABuffer, FromAnAttribute, FromWhatIsMade])
def test_what_no_input_changes_is_known(network: Callable[[], nn.Module]) -> None:
    model, space = hosted(network)
    assert "first" in space.units
    kept, x = some_channels(space, 0), torch.randn(2, *IMAGE)
    with torch.no_grad():
        torch.testing.assert_close(shrunk(model, space, kept)(x), masked(model, space, kept)(x))


@pytest.mark.parametrize("network", [FromTheInput, FromAWeight, FromChance, FromWhatWasOverwritten])
def test_what_may_change_is_refused(network: Callable[[], nn.Module]) -> None:
    with pytest.raises(HwticketsError, match="depends on the values of tensors"):
        hosted(network)

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from hwtickets.space.space import SearchSpace
from hwtickets.space.units import Member, find_units
from hwtickets.supernets import SearchingBlock, Supernet

NORM = ("weight", "bias", "running_mean", "running_var")


def _norm_members(module: str) -> set[Member]:
    return {Member(module, tensor, 0) for tensor in NORM}


def test_a_unit_is_the_hidden_channels_of_a_branch_with_all_that_they_run_through(
    tiny_space: SearchSpace,
) -> None:
    assert list(tiny_space.units) == ["blocks.0.k3", "blocks.0.k5", "blocks.1.k3", "blocks.1.k5"]
    for name, unit in tiny_space.units.items():
        block, _, key = name.rpartition(".")
        branch = f"{block}.branches.{key}"
        assert (unit.block, unit.branch, unit.importance) == (block, branch, f"{branch}.depthwise_bn")
        assert set(unit.members) == {
            Member(f"{branch}.expand", "weight", 0),
            *_norm_members(f"{branch}.expand_bn"),
            Member(f"{branch}.depthwise", "weight", 0),
            *_norm_members(f"{branch}.depthwise_bn"),
            Member(f"{branch}.project", "weight", 1),
        }
    assert tiny_space.dense() == {"blocks.0.k3": 16, "blocks.0.k5": 16, "blocks.1.k3": 32, "blocks.1.k5": 32}


class _TwoConvs(SearchingBlock):
    """conv-BN-ReLU-conv: a block that the package does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.norm(self.first(x))))

    def importance_factors(self) -> dict[str, str]:
        return {"hidden": "norm"}


class _Concatenated(_TwoConvs):
    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.first(x))
        return self.second(torch.cat([hidden, hidden], 1))


class _Supernet(Supernet):
    def __init__(self, block: SearchingBlock) -> None:
        super().__init__()
        self.input_shape, self.classes = (2, 5, 5), 2
        self.body = block

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def test_units_of_an_unknown_block_are_found_through_the_graph() -> None:
    model = _Supernet(_TwoConvs()).train()
    unit = find_units(model)["body.hidden"]
    assert (unit.width, unit.branch) == (6, None)
    assert set(unit.members) == {
        Member("body.first", "weight", 0),
        Member("body.first", "bias", 0),
        *_norm_members("body.norm"),
        Member("body.second", "weight", 1),
    }
    assert model.training and model.body.norm.num_batches_tracked == 0, "the search left the network alone"


def test_channels_that_cannot_be_sliced_yet_are_refused_by_name() -> None:
    with pytest.raises(
        HwticketsError, match=r"body\.second: its channels are coupled over a concat"
    ) as caught:
        find_units(_Supernet(_Concatenated()))
    assert "\n" not in str(caught.value)

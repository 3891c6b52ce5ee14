"""Operators of a module as functions of its widths: fused as a runtime fuses, sizes true at every width."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hwtickets.modules.recorder import record, weightless
from tests.modules.small_networks import (
    IMAGE,
    Grouped,
    Joined,
    Plain,
    Residual,
    Tokens,
    hosted,
    some_channels,
)


def _macs(body: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of all convolutions and linear layers of one real run."""
    counted = []

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        places = math.prod(y.shape[2:]) if isinstance(layer, nn.Conv2d) else math.prod(y.shape[:-1])
        counted.append(layer.weight.numel() * places)

    hooks = [
        part.register_forward_hook(count)
        for part in body.modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        body(torch.randn(1, *shape))
    for hook in hooks:
        hook.remove()
    return sum(counted)


@pytest.mark.parametrize("network", [Residual, Grouped, Joined, Plain, Tokens])
def test_the_graph_at_any_width_counts_what_the_cut_module_runs(network: Callable[[], nn.Module]) -> None:
    _, space = hosted(network)
    for seed in range(3):
        widths = {name: len(index) for name, index in some_channels(space, seed).items()}
        graph = space.graph(widths)
        attention = sum(operator.spec.macs for operator in graph if operator.spec.kind == "attention")
        assert graph.macs - attention == _macs(space.module(widths), IMAGE)
        assert graph.output.channels == 5
        known = {"x"} | {operator.name for operator in graph}
        assert all(set(operator.inputs) <= known for operator in graph)


def test_norms_activations_and_sums_are_fused() -> None:
    _, space = hosted(Residual)
    specs = {operator.name: operator.spec for operator in space.graph(space.dense())}
    kinds = [spec.kind for spec in specs.values()]
    assert kinds == ["conv"] * 6 + ["pool", "linear"]
    assert specs["stem.0/conv"].activation == "relu" and not specs["stem.0/conv"].residual
    assert specs["second.0/conv"].residual and specs["second.0/conv"].activation == "relu"
    assert specs["beside.0/conv"].residual and specs["fourth.0/conv"].activation == "none"
    inputs = {operator.name: operator.inputs for operator in space.graph(space.dense())}
    assert inputs["second.0/conv"] == ("first.0/conv", "stem.0/conv")
    assert inputs["beside.0/conv"] == ("second.0/conv", "fourth.0/conv")


def test_attention_is_one_operator_of_whole_heads() -> None:
    _, space = hosted(Tokens)
    graph = space.graph({"attention.qkv": 3, "wide": 7})
    (attention,) = [operator.spec for operator in graph if operator.spec.kind == "attention"]
    assert (attention.c_in, attention.groups, attention.height, attention.width) == (12, 3, 4, 1)
    assert attention.macs == 2 * 4 * 4 * 12
    rows = {operator.name: operator.spec for operator in graph if operator.spec.kind == "linear"}
    assert (rows["attention.qkv/linear"].c_out, rows["attention.proj/linear"].c_in) == (36, 12)
    assert rows["wide/linear"].c_out == 7 and rows["wide/linear"].height == 4


def test_a_norm_behind_a_join_stays_and_views_cost_nothing() -> None:
    _, space = hosted(Joined)
    kinds = [operator.spec.kind for operator in space.graph({"one.0": 5, "other.0": 3, "wide.0": 2})]
    assert kinds.count("batchnorm") == 1 and kinds.count("concat") == 2
    specs = [operator.spec for operator in space.graph({"one.0": 5, "other.0": 3, "wide.0": 2})]
    assert [spec.c_in for spec in specs if spec.kind == "batchnorm"] == [8]
    assert [spec.c_in for spec in specs if spec.kind == "linear"] == [4 * 16]


class _Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.cumprod(torch.relu(self.first(x)), 1))


def test_unknown_operations_hold_their_channels_and_are_priced_by_size() -> None:
    _, space = hosted(_Odd, (6,))
    assert not space.units and "cumprod" in space.unprunable["first"]
    assert [operator.spec.kind for operator in space.graph({})] == ["linear", "other", "linear"]


def test_a_record_names_the_module_of_every_call() -> None:
    calls = record(weightless(hosted(Residual)[0]), IMAGE).calls
    convolutions = [call.where for call in calls if call.name == "convolution"]
    assert convolutions == ["stem.0", "first.0", "second.0", "third.0", "fourth.0", "beside.0"]

"""Residual branches that vanish as a whole: what is found, and that nothing of them is left."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.modules.gates import add_gates
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.space import ModuleSpace
from hwtickets.modules.weights import take_weights
from hwtickets.search.prices import unit_prices
from hwtickets.space.slicing import keep_channels, present_widths, resize
from hwtickets.space.space import space_of
from hwtickets.sparsity.choices import price_space
from hwtickets.sparsity.coupled import CoupledSpace
from tests.modules.residual_networks import Blocks, Reading
from tests.modules.small_networks import IMAGE, Halves, Residual, Tokens, hosted, masked, some_channels

BRANCHES = {
    Blocks: {
        "first": ["first.conv1"],
        "second": ["second.conv1"],
        "third": ["third.body.0", "third.body.3"],
        "fourth": ["fourth.body.0", "fourth.body.3"],
    },
    Residual: {"first": ["first.0"]},
    Tokens: {"attention": ["attention.qkv"], "wide": ["wide"]},
    Halves: {"blocks.0": ["blocks.0.0.0"]},
}


def without(
    model: HostedNetwork, space: ModuleSpace, names: list[str], kept: dict[str, Tensor]
) -> HostedNetwork:
    """A copy that keeps some channels, and of some branches nothing."""
    gone = {unit: torch.arange(0) for name in names for unit in space.branches[name]}
    copied = copy.deepcopy(model)
    keep_channels(copied, space.units.values(), {**kept, **gone})
    return copied


def silenced(
    model: HostedNetwork, space: ModuleSpace, names: list[str], kept: dict[str, Tensor]
) -> HostedNetwork:
    """A copy of the whole network, masked, in which some branches add zero."""
    copied = masked(model, space, kept)
    for unit in space.units.values():
        if unit.residual is not None and unit.residual.name in names:
            for part in (*unit.residual.absent, *unit.residual.passing):
                for parameter in copied.get_submodule(part).parameters():
                    nn.init.zeros_(parameter)
    return copied


@pytest.mark.parametrize("network", BRANCHES)
def test_a_network_without_branches_is_the_one_whose_branches_add_zero(network: type[nn.Module]) -> None:
    model, space = hosted(network)
    assert space.branches == BRANCHES[network]
    x, kept = torch.randn(2, *IMAGE), some_channels(space, 1)
    for names in ([next(iter(space.branches))], list(space.branches)):
        cut = without(model, space, names, kept)
        expected = silenced(model, space, names, kept)(x)
        torch.testing.assert_close(cut(x), expected, atol=1e-6, rtol=1e-5)
        assert present_widths(cut, space.units.values()) == {
            name: 0 if unit.residual and unit.residual.name in names else len(kept[name])
            for name, unit in space.units.items()
        }


@pytest.fixture
def quiet() -> Iterator[None]:
    """torch's exporter traces itself at the lowest level; pytest would format every record of it."""
    logging.disable(logging.DEBUG)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet")
def test_nothing_of_a_branch_is_left() -> None:
    model, space = hosted(Blocks)
    cut = without(model, space, list(space.branches), {})
    assert set(cut.state_dict()) == {
        name for name in model.state_dict() if name.split(".")[1] not in space.branches
    }
    kinds = [node.op_type for node in onnx.load_from_string(export_onnx(cut.body, IMAGE)).graph.node]
    # The stem, the last two layers with their sum, the mean and the head.
    assert sorted(kind for kind in kinds if kind not in ("Reshape", "Flatten")) == [
        *("Add", "Conv", "Conv", "Conv", "Gemm", "ReduceMean", "Relu", "Relu")
    ]
    graph = space.graph({**space.dense(), "third.body.0": 0, "fourth.body.3": 0, "first.conv1": 0})
    left = {operator.name.replace("/", ".").split(".")[0] for operator in graph}
    assert left == {"stem", "second", "last", "beside", "network", "head"}
    written = {"x", *(operator.output.name for operator in graph)}
    assert all(name in written for operator in graph for name in operator.inputs)


def test_an_activation_that_the_code_calls_stays_and_is_priced() -> None:
    _, space = hosted(Residual)
    graph = list(space.graph({**space.dense(), "first.0": 0}))
    assert [op.name for op in graph][:3] == ["stem.0/conv", "second.0/conv/relu", "third.0/conv"]
    assert graph[1].inputs == ("stem.0/conv",) and graph[2].inputs == ("second.0/conv/relu",)
    assert not any(op.name.endswith("conv/relu") for op in space.graph(space.dense()))


def test_what_cannot_vanish_stays_with_its_reason() -> None:
    _, space = hosted(Reading, (6,))
    assert list(space.branches) == ["out"]
    model = HostedNetwork(Blocks(), IMAGE, keep=["third.body.6"])
    space = space_of(model, "module")
    assert isinstance(space, ModuleSpace)
    assert list(space.branches) == ["first", "second", "fourth"]
    assert space.unprunable["third (as a whole)"] == "left alone as asked"


def test_training_goes_on_without_a_branch_and_can_be_resumed() -> None:
    model, space = hosted(Blocks)
    units = list(space.units.values())
    add_gates(model, units)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    x = torch.randn(4, *IMAGE)
    model.train()(x).square().mean().backward()
    optimizer.step()
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gone = {name: torch.arange(0) for name in (*space.branches["second"], *space.branches["third"])}
    keep_channels(model, units, gone, optimizer, [average])
    assert set(average) == set(model.state_dict())
    model(x).square().mean().backward()
    optimizer.step()
    resumed, _ = hosted(Blocks)
    resize(resumed, units, present_widths(model, units))
    take_weights(resumed, units, model.state_dict())
    assert resumed.eval()(x).equal(model.eval()(x))


def test_what_is_done_in_place_behind_a_branch_does_not_reach_back() -> None:
    model, space = hosted(Blocks)
    cut = without(model, space, ["first", "second"], {})
    x = torch.randn(1, 8, 8, 8)
    before = x.clone()
    cut.body.second(cut.body.first(x)).mul_(2)
    assert x.equal(before)


def _latency(spec: object) -> float:
    return 0.02 + spec.macs * 1e-6  # type: ignore[attr-defined]


def test_prices_of_branches_are_all_or_nothing() -> None:
    _, space = hosted(Blocks)
    cost = AdditiveCost("latency", "ms", 0.05, _latency)
    priced = price_space(space, {"latency": cost, "macs": macs_cost()}, 4)
    assert isinstance(priced, CoupledSpace)
    bare = space.graph({**space.dense(), **{name: 0 for units in space.branches.values() for name in units}})
    assert priced.smallest("macs") <= bare.macs
    assert price_space(space, {"macs": macs_cost()}, 4, floor=1).smallest("macs") > priced.smallest("macs")
    random = np.random.default_rng(0)
    for _ in range(20):
        widths = priced.sample(random)
        assert all(len({widths[name] > 0 for name in units}) == 1 for units in space.branches.values())
    with_nothing = {**space.dense(), "third.body.0": 0, "third.body.3": 0}
    prices = unit_prices(space, cost, 4, with_nothing)
    assert set(prices) == {name for name, width in with_nothing.items() if width}
    assert prices["stem.0"].slope < unit_prices(space, cost, 4, space.dense())["stem.0"].slope

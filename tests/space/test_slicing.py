from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hwtickets.space.slicing import keep_channels, present_widths, resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mask import magnitude_masks
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.ema import EMA
from hwtickets.training.loop import TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine

WIDTHS = {"blocks.0.k3": 16, "blocks.0.k5": 16, "blocks.1.k3": 32, "blocks.1.k5": 32}
KEEPS = st.fixed_dictionaries(
    {name: st.sets(st.integers(0, width - 1), max_size=width) for name, width in WIDTHS.items()}
)


def _mask(model: Supernet, space: SearchSpace, kept: dict[str, set[int]]) -> None:
    """Zeroes the affine after the depthwise convolution, and the output norm of a block without branches."""
    with torch.no_grad():
        for name, unit in space.units.items():
            norm = model.get_submodule(unit.importance)
            gone = [channel for channel in range(unit.width) if channel not in kept[name]]
            norm.weight[gone], norm.bias[gone] = 0.0, 0.0
        for block, units in space.blocks.items():
            if not any(kept[unit] for unit in units):
                norm = model.get_submodule(f"{block}.out_bn")
                for tensor in (norm.weight, norm.bias):
                    tensor.zero_()


def _indices(kept: dict[str, set[int]]) -> dict[str, Tensor]:
    return {name: torch.tensor(sorted(channels), dtype=torch.long) for name, channels in kept.items()}


@given(kept=KEEPS)
@example(kept={"blocks.0.k3": set(), "blocks.0.k5": {1, 4}, "blocks.1.k3": {0}, "blocks.1.k5": set()})
@example(kept={name: set() for name in WIDTHS})
@settings(max_examples=30, deadline=None, derandomize=True)
@torch.no_grad()
def test_masked_and_sliced_networks_agree(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, kept: dict[str, set[int]]
) -> None:
    masked, sliced = tiny_model(shaken=True).eval(), tiny_model(shaken=True).eval()
    x = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    _mask(masked, tiny_space, kept)
    keep_channels(sliced, tiny_space.units.values(), _indices(kept))
    torch.testing.assert_close(sliced(x), masked(x), rtol=1e-5, atol=1e-5)
    widths = {name: len(channels) for name, channels in kept.items()}
    assert present_widths(sliced, tiny_space.units.values()) == widths
    for name, width in widths.items():
        block, _, key = name.rpartition(".")
        branches = sliced.get_submodule(f"{block}.branches")
        assert (key in branches) == (width > 0)
        if width:
            assert branches[key].depthwise.groups == branches[key].expand_bn.num_features == width


@pytest.fixture
def trained(tiny_model: Callable[..., Supernet], tiny_task: Task) -> tuple[TrainingLoop, EMA]:
    """Three steps in, so that gradients, momentum and the average hold something."""
    model, ema = tiny_model(), EMA(0.9)
    loop = TrainingLoop(model, tiny_task, build_optimizer(model, 5e-4), Cosine(0.05, 8), [ema], 3)
    loop.run()
    return loop, ema


def _expected(
    model: Supernet, space: SearchSpace, name: str, tensor: Tensor, kept: dict[str, Tensor]
) -> Tensor:
    for unit_name, unit in space.units.items():
        for member in unit.members:
            if member.name == name:
                tensor = tensor.index_select(member.dim, kept[unit_name])
    return tensor


def test_everything_that_belongs_to_a_channel_is_cut_with_it(
    trained: tuple[TrainingLoop, EMA], tiny_space: SearchSpace
) -> None:
    loop, ema = trained
    model, optimizer, units = loop.model, loop.optimizer, tiny_space.units.values()
    masks = magnitude_masks(model, 0.5, 0.1)
    kept = {name: torch.arange(1, width, 3) for name, width in tiny_space.dense().items()}
    kept["blocks.1.k5"] = torch.empty(0, dtype=torch.long)
    before = {
        "weight": dict(model.state_dict()),
        "grad": {name: parameter.grad for name, parameter in model.named_parameters()},
        "momentum": {n: optimizer.state[p]["momentum_buffer"] for n, p in model.named_parameters()},
        "average": dict(ema.shadow),
        "mask": dict(masks),
    }
    keep_channels(model, units, kept, optimizer, [ema.shadow, masks])
    after = {
        "weight": model.state_dict(),
        "grad": {name: parameter.grad for name, parameter in model.named_parameters()},
        "momentum": {n: optimizer.state[p]["momentum_buffer"] for n, p in model.named_parameters()},
        "average": ema.shadow,
        "mask": masks,
    }
    for kind, tensors in before.items():
        survivors = {name: tensor for name, tensor in tensors.items() if ".1.branches.k5." not in name}
        assert set(after[kind]) == set(survivors), kind
        for name, tensor in survivors.items():
            wanted = _expected(model, tiny_space, name, tensor, kept)
            assert torch.equal(after[kind][name], wanted), (kind, name)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in model.parameters()}
    assert set(optimizer.state) == set(model.parameters())


def test_training_goes_on_after_a_cut(trained: tuple[TrainingLoop, EMA], tiny_space: SearchSpace) -> None:
    loop, ema = trained
    kept = {name: torch.arange(8) for name in tiny_space.units} | {"blocks.0.k3": torch.arange(0)}
    keep_channels(loop.model, tiny_space.units.values(), kept, loop.optimizer, [ema.shadow])
    before = {name: tensor.clone() for name, tensor in loop.model.named_parameters()}
    loop.steps = 5
    loop.run()
    assert all(not torch.equal(tensor, before[name]) for name, tensor in loop.model.named_parameters())
    assert {name: t.shape for name, t in ema.shadow.items()} == {
        name: t.shape for name, t in loop.model.state_dict().items()
    }


def test_a_missing_unit_stays_whole_and_a_second_cut_counts_anew(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace
) -> None:
    model, units = tiny_model(), tiny_space.units.values()
    scale = model.get_submodule("blocks.0.branches.k3.depthwise_bn").weight
    with torch.no_grad():
        scale.copy_(torch.arange(16.0))
    keep_channels(model, units, {"blocks.0.k3": torch.tensor([2, 5, 7, 9])})
    keep_channels(model, units, {"blocks.0.k3": torch.tensor([1, 3])})
    assert model.get_submodule("blocks.0.branches.k3.depthwise_bn").weight.tolist() == [5.0, 9.0]
    keep_channels(model, units, {"blocks.0.k3": torch.arange(0), "blocks.0.k5": torch.arange(0)})
    keep_channels(model, units, {"blocks.0.k3": torch.arange(4)})
    assert present_widths(model, units) == {**tiny_space.dense(), "blocks.0.k3": 0, "blocks.0.k5": 0}
    assert isinstance(model.get_submodule("blocks.0.out_bn"), nn.Identity)


@torch.no_grad()
def test_a_ticket_is_rebuilt_by_its_widths(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace
) -> None:
    widths = {"blocks.0.k3": 8, "blocks.0.k5": 0, "blocks.1.k3": 0, "blocks.1.k5": 24}
    cut, rebuilt = tiny_model(0, shaken=True), tiny_model(1)
    for model in (cut, rebuilt):
        resize(model, tiny_space.units.values(), widths)
    rebuilt.load_state_dict(cut.state_dict())
    x = torch.randn(2, 1, 12, 12)
    assert torch.equal(rebuilt.eval()(x), cut.eval()(x))

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import SearchSpace
from hwtickets.space.units import find_units
from hwtickets.sparsity.importance import BNScaleImportance, Scores, TaylorImportance, score_units
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.supernets import MixConvBlock, Supernet
from hwtickets.tasks.task import Task


def test_the_taylor_score_of_two_channels_by_hand() -> None:
    norm = nn.BatchNorm2d(2, eps=0.0).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -1.0]))
        norm.bias.copy_(torch.tensor([1.0, 3.0]))
        norm.running_mean.copy_(torch.tensor([0.0, 4.0]))
        norm.running_var.copy_(torch.tensor([1.0, 4.0]))
    # Normalised inputs: (3, 5) in the first channel, (-1, 1) in the second.
    x = torch.tensor([[[[3.0, 5.0]], [[2.0, 6.0]]]])
    (norm(x) * torch.tensor([[[[1.0, 2.0]], [[0.5, 0.5]]]])).sum().backward()
    # Channel 0: dL/dgamma = 3 + 2*5 = 13, dL/dbeta = 3 -> (2*13 + 1*3)^2;
    # channel 1: 0 and 1 -> (-1*0 + 3*1)^2.
    assert TaylorImportance().score([(norm, None)]).tolist() == [841.0, 9.0]
    assert BNScaleImportance().score([(norm, None)]).tolist() == [2.0, 1.0]
    # As one channel of two entries: (26 + 3 + 0 + 3)^2, and the mean of 2 and 1.
    assert TaylorImportance().score([(norm, torch.tensor([[0, 1]]))]).tolist() == [1024.0]
    assert BNScaleImportance().score([(norm, torch.tensor([[0, 1]]))]).tolist() == [1.5]


class _OneBlock(Supernet):
    def __init__(self, block: MixConvBlock) -> None:
        super().__init__()
        self.input_shape, self.classes = (4, 6, 6), 4
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def test_the_score_is_the_squared_change_of_a_linear_loss_without_the_channel(
    shake: Callable[[nn.Module], nn.Module],
) -> None:
    torch.manual_seed(0)
    model = shake(_OneBlock(MixConvBlock(4, 4, 1, {3: 3, 5: 2}))).eval()
    units = find_units(model)
    x, weights = torch.randn(2, 4, 6, 6), torch.randn(2, 4, 6, 6)

    def loss(outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs * target).sum()

    scores = TaylorImportance().measure(Evidence(model, lambda: [(x, weights)], loss), units.values())
    whole = loss(model(x), weights)
    for name, unit in units.items():
        for channel in range(unit.width):
            cut = _OneBlock(MixConvBlock(4, 4, 1, {3: 3, 5: 2})).eval()
            cut.load_state_dict(model.state_dict())
            others = torch.tensor([other for other in range(unit.width) if other != channel])
            keep_channels(cut, units.values(), {name: others})
            change = float((whole - loss(cut(x), weights)).detach() ** 2)
            assert float(scores[name][channel]) == pytest.approx(change, rel=1e-3, abs=1e-3)


def test_scores_are_means_over_batches_and_leave_no_trace(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tiny_task: Task
) -> None:
    model, units = tiny_model(shaken=True).train(), tiny_space.units.values()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [tiny_task.train_batch(step) for step in range(2)]

    def scored(*used: tuple[Tensor, Tensor]) -> Scores:
        return TaylorImportance().measure(Evidence(model, lambda: used, tiny_task.loss), units)

    both, single = scored(*batches), [scored(batch) for batch in batches]
    for name in tiny_space.units:
        torch.testing.assert_close(both[name], (single[0][name] + single[1][name]) / 2)
        assert (both[name] > 0).any()
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_branches_that_are_gone_have_no_score(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace
) -> None:
    model, units = tiny_model(), tiny_space.units.values()
    keep_channels(model, units, {"blocks.0.k3": torch.arange(0), "blocks.1.k5": torch.arange(8)})
    shapes = {name: len(score) for name, score in score_units(model, units, BNScaleImportance()).items()}
    assert shapes == {"blocks.0.k5": 16, "blocks.1.k3": 32, "blocks.1.k5": 8}

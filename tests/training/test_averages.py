from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.batchnorm import recalibrate
from hwtickets.training.ema import EMA
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine


class _History(Hook):
    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def after_step(self, loop: TrainingLoop) -> None:
        self.states.append(
            {name: tensor.detach().clone() for name, tensor in loop.model.state_dict().items()}
        )


def test_the_average_of_weights_and_statistics_is_the_recursion(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    model, ema, history = tiny_model(), EMA(0.3), _History()
    TrainingLoop(model, tiny_task, build_optimizer(model, 0.0), Cosine(0.1, 5), [ema, history], 5).run()
    expected = dict(history.states[0])
    for update, state in enumerate(history.states[1:], 2):
        decay = min(0.3, (1 + update) / (10 + update))
        for name, tensor in state.items():
            moves = tensor.is_floating_point()
            expected[name] = decay * expected[name] + (1 - decay) * tensor if moves else tensor
    for name, tensor in expected.items():
        torch.testing.assert_close(ema.shadow[name], tensor, rtol=1e-5, atol=1e-6)
    assert int(ema.shadow["stem.1.num_batches_tracked"]) == 5
    ema.copy_to(model)
    assert all(torch.equal(tensor, ema.shadow[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(model.classifier.weight, history.states[-1]["classifier.weight"])


def test_an_average_goes_on_where_it_was_saved(tiny_model: Callable[..., Supernet], tiny_task: Task) -> None:
    averages = []
    for pause in (False, True):
        model, ema = tiny_model(), EMA(0.9)
        loop = TrainingLoop(model, tiny_task, build_optimizer(model, 0.0), Cosine(0.1, 4), [ema], 2)
        loop.run()
        if pause:
            saved = {name: tensor.clone() for name, tensor in ema.tensors().items()}, ema.facts()
            ema = EMA(0.9)
            ema.restore(*saved)
            loop.hooks = [ema]
        loop.steps = 4
        loop.run()
        averages.append(ema.shadow)
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])


def test_recalibrated_statistics_are_those_of_the_batches() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.3)).eval()
    with torch.no_grad():
        model[1].running_mean.fill_(100.0)
    batches = [torch.randn(5, 1, 6, 6) + shift for shift in range(4)]
    recalibrate(model, batches)
    hidden = [model[0](batch).detach() for batch in batches]
    mean = torch.stack([h.mean((0, 2, 3)) for h in hidden]).mean(0)
    variance = torch.stack([h.var((0, 2, 3)) for h in hidden]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean)
    torch.testing.assert_close(model[1].running_var, variance)
    assert model[1].momentum == 0.3
    assert not model.training


def test_recalibration_changes_no_weight_and_repeats_itself(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    model = tiny_model(shaken=True)
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    statistics = []
    for _ in range(2):
        recalibrate(model, (tiny_task.calibration_batch(index) for index in range(3)))
        statistics.append({name: buffer.clone() for name, buffer in model.named_buffers()})
    assert all(torch.equal(parameter, weights[name]) for name, parameter in model.named_parameters())
    assert all(torch.equal(buffer, statistics[1][name]) for name, buffer in statistics[0].items())


def test_a_constant_channel_multiplies_no_errors_of_rounding() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1, bias=False)]
    model = nn.Sequential(*layers, nn.BatchNorm2d(3)).eval()
    with torch.no_grad():
        # The first filter is masked out, and the second layer's first filter sees that constant alone.
        model[0].weight[0] = 0
        model[1].bias[0], model[3].bias[0] = 0.7, 0.3
        model[2].weight[0, 1:] = 0
        # The second layer's last filter is masked out itself.
        model[2].weight[2] = 0
    recalibrate(model, [torch.randn(8, 2, 6, 6) for _ in range(3)])
    assert model[3].weight.tolist() == [0.0, 1.0, 1.0]
    assert bool((model[1].weight == 1).all()), "what is always 0 may wake up on other inputs"
    assert bool((model(torch.randn(2, 2, 6, 6))[:, 0] == model[3].bias[0]).all())

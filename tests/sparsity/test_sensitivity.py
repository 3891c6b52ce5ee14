from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.space.space import space_of
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.sensitivity import SensitivityImportance, convex_slopes
from hwtickets.sparsity.weight_importance import Evidence


class _Block(nn.Sequential):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


def _network(blocks: int = 2, width: int = 16) -> HostedNetwork:
    torch.manual_seed(0)
    body = nn.Sequential(
        _Block(3, width), *(_Block(width, width) for _ in range(blocks - 1)), nn.Conv2d(width, 2, 1)
    )
    for norm in (module for module in body.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return HostedNetwork(body, (3, 4, 4)).eval()


def _squares(outputs: Tensor, target: Tensor) -> Tensor:
    return (outputs - target).square().mean()


def _scores(
    model: HostedNetwork,
    loss: Callable[[Tensor, Tensor], Tensor] = _squares,
    batches: int = 2,
    seed: int = 1,
) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    data = [
        (torch.randn(8, 3, 4, 4, generator=generator), torch.randn(8, 2, 4, 4, generator=generator))
        for _ in range(batches)
    ]
    units = space_of(model, "module").units.values()
    return SensitivityImportance().measure(Evidence(model, lambda: data, loss), units)


def test_the_network_is_as_it_was() -> None:
    model = _network().train()
    model.body[0][1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    _scores(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(module.track_running_stats for module in model.modules() if hasattr(module, "running_mean"))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_channels_that_the_loss_never_misses_come_last_and_in_the_order_of_their_scores() -> None:
    model = _network(1)
    with torch.no_grad():
        # What is read of half of the channels is next to nothing.
        model.body[-1].weight[:, :8] *= 1e-6
    scores = _scores(model)["0.0"]
    assert scores[:8].max() < 1e-3 * scores[8:].min()
    assert len(set(scores[:8].tolist())) == 8


@pytest.mark.parametrize(
    ("rises", "slopes"),
    [
        ({0: 0.0, 2: 1.0, 4: 8.0}, [0.5, 0.5, 3.5, 3.5]),
        # A point above the line between its neighbours does not count ...
        ({0: 0.0, 1: 4.0, 2: 4.0, 4: 8.0}, [2.0, 2.0, 2.0, 2.0]),
        # ... and a loss that falls is one that does not rise.
        ({0: 0.0, 2: -1.0, 4: 2.0}, [0.0, 0.0, 1.0, 1.0]),
        ({0: 0.0, 1: 3.0, 2: -5.0}, [1.5, 1.5]),
    ],
)
def test_slopes_by_hand(rises: Mapping[int, float], slopes: list[float]) -> None:
    assert convex_slopes(rises).tolist() == pytest.approx(slopes)


@given(
    st.dictionaries(st.integers(1, 40), st.floats(-5, 50), min_size=1, max_size=9),
)
def test_slopes_never_fall_and_stay_below_what_was_measured(found: dict[int, float]) -> None:
    rises = {0: 0.0, **found}
    slopes = convex_slopes(rises)
    assert len(slopes) == max(rises)
    assert (slopes >= -1e-9).all() and (np.diff(slopes) >= -1e-9).all()
    steps = sorted(rises)
    highest = np.maximum.accumulate([rises[step] for step in steps])
    curve = np.concatenate([[0.0], np.cumsum(slopes)])
    assert (curve[steps] <= highest + 1e-6).all()
    assert curve[-1] == pytest.approx(highest[-1], abs=1e-6)


def test_statistics_of_the_whole_network_do_not_hide_a_rise() -> None:
    model = _network()
    # Behind this norm all images look alike until its statistics are those of the batch.
    model.body[1][1].running_var.fill_(1e12)
    scores = _scores(model)
    assert max(float(score.max()) for score in scores.values()) > 1e-3


@pytest.mark.parametrize("blocks", [2, 40])
def test_it_takes_about_as_long_however_many_units_there_are(blocks: int) -> None:
    model, passes = _network(blocks, 8), 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    model.body.register_forward_hook(count)
    _scores(model, batches=16)
    assert passes <= 16 + 600 + 16


def test_a_loss_that_is_no_number_names_the_unit() -> None:
    def broken(outputs: Tensor, target: Tensor) -> Tensor:
        return _squares(outputs, target) * (1.0 if torch.is_grad_enabled() else float("nan"))

    with pytest.raises(HwticketsError, match=r"importance sensitivity: the scores of 0\.0 are not finite"):
        _scores(_network(), broken)

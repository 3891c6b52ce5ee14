from __future__ import annotations

from typing import Any

import pytest
import torch

from hwtickets.config import SearchConfig
from hwtickets.errors import UsageError
from hwtickets.training.schedules import Cosine, Exponential, MultiStep, OneCycle, schedule_of


def _config(**settings: Any) -> SearchConfig:
    return SearchConfig.model_validate({"budgets": {"latency": "60%"}, "learning_rate": 0.4, **settings})


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    rate = Cosine(peak=0.4, steps=30, first_step=10, warmup_share=0.2)
    rates = [rate(step) for step in range(10, 31)]
    top = rates.index(max(rates))
    assert 0 < rates[0] < max(rates) == pytest.approx(0.4)
    assert top == 4 and rates[:5] == sorted(rates[:5]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_the_paper_s_rate_for_images_drops_by_three_percent_each_2_4_epochs() -> None:
    rate = Exponential(peak=0.032, steps_per_epoch=10, first_step=7)
    rates = [rate(7 + step) for step in range(100)]
    assert rates[:48:4] == sorted(rates[:48:4]), "five epochs of warm-up"
    assert rates[0] < 0.001
    assert rates[60] == pytest.approx(0.032 * 0.97**2) == rates[71]
    assert rates[72] == pytest.approx(0.032 * 0.97**3)


def test_one_cycle_is_torch_s_own() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.04, total_steps=20, div_factor=25)
    ours = OneCycle(peak=0.04, steps=25, first_step=5)
    for step in range(5, 25):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        assert ours.momentum(step) == pytest.approx(optimizer.param_groups[0]["betas"][0], rel=1e-9), step
        optimizer.step()
        if step < 24:
            theirs.step()


def test_multi_step_falls_to_a_tenth_at_each_milestone() -> None:
    rate = MultiStep(peak=1e-3, steps_per_epoch=4, milestones=(2, 3), warmup_epochs=1)
    rates = [rate(step) for step in range(16)]
    assert rates[:4] == pytest.approx([1e-3 * share / 5 for share in (1, 2, 3, 4)])
    assert rates[4:8] == pytest.approx([1e-3] * 4)
    assert rates[8:12] == pytest.approx([1e-4] * 4) and rates[12:] == pytest.approx([1e-5] * 4)


def test_a_configuration_names_its_schedule() -> None:
    assert schedule_of(_config(), 10, 0, 100) == Cosine(0.4, 100)
    assert schedule_of(_config(warmup_epochs=1), 10, 20, 100, 0.5) == Cosine(0.2, 100, 20, 0.125)
    assert schedule_of(_config(schedule="exponential"), 10, 0, 100) == Exponential(0.4, 10)
    assert schedule_of(_config(schedule="one-cycle"), 10, 5, 100) == OneCycle(0.4, 100, 5)
    steps = _config(schedule="multi-step", milestones=[3, 5])
    assert schedule_of(steps, 10, 0, 100) == MultiStep(0.4, 10, (3.0, 5.0))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"schedule": "multi-step"}, "milestones: the multi-step schedule needs them"),
        ({"milestones": [2]}, "no other takes any"),
        ({"schedule": "one-cycle", "warmup_epochs": 2}, "a rise of its own"),
    ],
)
def test_what_does_not_belong_to_a_schedule_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        schedule_of(_config(**settings), 10, 0, 100)

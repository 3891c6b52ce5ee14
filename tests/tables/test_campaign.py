from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.progress import Progress
from hwtickets.tables.campaign import Campaign, measure_plan
from hwtickets.tables.measure import Journal
from hwtickets.tables.plan import Plan
from hwtickets.tables.sampling import Space

Bench = Callable[..., Any]


@pytest.fixture(scope="module")
def plan(space: Space) -> Plan:
    return Plan(space, alignment=8, seed=0)


def _measure(plan: Plan, bench: Any, journal: Path) -> Campaign:
    with Progress(quiet=True).stage("measure", plan.total) as stage:
        return measure_plan(plan, bench, Journal(journal, plan.key), stage)


def _same(one: Campaign, other: Campaign) -> bool:
    ends = ("calibration_ms", "check_ms")
    emptied = {name: np.zeros(0) for name in ends}
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ends) and repr(
        replace(one, **emptied)  # type: ignore[arg-type]
    ) == repr(replace(other, **emptied))  # type: ignore[arg-type]


@pytest.mark.parametrize("calls", [0, 1, 3, 5, 7, 9])
def test_a_campaign_that_was_killed_ends_like_one_that_was_not(
    plan: Plan, tmp_path: Path, steady_bench: Bench, killed: type[BaseException], calls: int
) -> None:
    whole_bench, first, second = steady_bench(), steady_bench(calls=calls), steady_bench()
    whole = _measure(plan, whole_bench, tmp_path / "whole.jsonl")
    with pytest.raises(killed):
        _measure(plan, first, tmp_path / "parts.jsonl")
    assert _same(_measure(plan, second, tmp_path / "parts.jsonl"), whole)
    assert first.timed + second.timed == whole_bench.timed, "nothing is measured twice, or in another order"


def test_a_steady_device_needs_few_networks_and_the_others_are_spared(
    plan: Plan, tmp_path: Path, steady_bench: Bench
) -> None:
    with Progress(quiet=True).stage("measure", plan.total) as stage:
        journal = Journal(tmp_path / "journal.jsonl", plan.key)
        campaign = measure_plan(plan, steady_bench(noise=0.002), journal, stage)
    assert campaign.verdict == "accurate"
    assert len(campaign.networks) < plan.most
    assert stage.done == stage.total == plan.total - plan.most + len(campaign.networks)
    assert len(campaign.calibration_ms) == len(plan.calibration)
    assert len(campaign.check_ms) == len(plan.check)


def test_no_network_is_measured_twice_for_the_operators(
    plan: Plan, tmp_path: Path, steady_bench: Bench
) -> None:
    campaign = _measure(plan, steady_bench(), tmp_path / "journal.jsonl")
    places = [next(i for i, g in enumerate(plan.pool) if g is network.graph) for network in campaign.networks]
    assert len(set(places)) == len(places)
    assert set(range(plan.first)) <= set(places)

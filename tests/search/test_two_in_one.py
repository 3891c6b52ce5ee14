from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hwtickets.config import SearchConfig
from hwtickets.errors import HwticketsError
from hwtickets.search.points import load_point, points_in, smallest_point_above
from hwtickets.search.shrinking import Pricing, ShrinkEvent
from hwtickets.search.two_in_one import StepPlan, TwoInOne
from hwtickets.space.slicing import present_widths
from hwtickets.sparsity.channel_weights import Places
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task

PLAN = StepPlan(search=70, total=90)
Build = Callable[..., tuple[TwoInOne, list[ShrinkEvent]]]


@pytest.fixture
def search(
    tiny_model: Callable[..., Supernet], tiny_task: Task, pricing: Callable[..., Pricing], tmp_path: Path
) -> Build:
    def build(
        name: str = "a", shares: dict[str, float] | None = None, seed: int = 0, **settings: object
    ) -> tuple[TwoInOne, list[ShrinkEvent]]:
        prices = pricing(shares or {"latency": 0.6}, str(settings.get("price", "latency")))
        config = SearchConfig.model_validate(
            {"budgets": {"latency": "60%"}, "batch_size": 20, "shrinks": 4, **settings}
        )
        events: list[ShrinkEvent] = []
        (tmp_path / name).mkdir(exist_ok=True)
        model = tiny_model(seed)
        return TwoInOne(model, tiny_task, prices, config, PLAN, tmp_path / name, events.append), events

    return build


def _quiet(count: int, note: str = "") -> None:
    return None


def test_the_network_shrinks_event_by_event_to_the_limit(
    search: Build, pricing: Callable[..., Pricing], tmp_path: Path
) -> None:
    job, events = search()
    job.run(_quiet)
    prices = pricing({"latency": 0.6})
    dense = prices.costs_of(prices.space.dense())["latency"]
    assert [event.index for event in events] == [1, 2, 3, 4]
    limits = [event.limits["latency"] for event in events]
    assert limits == sorted(limits, reverse=True) and limits[0] < dense
    assert limits[-1] == pytest.approx(1.12 * prices.limits["latency"])
    assert all(event.costs["latency"] <= event.limits["latency"] for event in events)
    widths = present_widths(job.model, prices.space.units.values())
    assert all(width % 8 == 0 for width in widths.values())
    assert prices.costs_of(widths)["latency"] == pytest.approx(events[-1].costs["latency"])
    assert events[-1].channels == sum(widths.values()) < sum(prices.space.dense().values())
    points = [load_point(path) for path in points_in(tmp_path / "a")]
    assert [point.index for point in points] == [1, 2, 3, 4, 5]
    assert points[0].widths == prices.space.dense() and points[-1].widths == widths
    assert {name: len(score) for name, score in points[-1].scores.items()} == {
        n: w for n, w in widths.items() if w
    }


def test_budgets_are_drawn_from_the_most_trained_point_that_is_large_enough(
    search: Build, pricing: Callable[..., Pricing], tmp_path: Path
) -> None:
    job, events = search()
    job.run(_quiet)
    for share in (0.55, 0.8, 0.95):
        limits = pricing({"latency": share}).limits
        point = smallest_point_above(tmp_path / "a", limits)
        assert point.costs["latency"] >= limits["latency"]
        later = [load_point(path) for path in points_in(tmp_path / "a")][point.index :]
        assert all(other.costs["latency"] < limits["latency"] for other in later)
    assert smallest_point_above(tmp_path / "a", pricing({"latency": 0.99}).limits).index == 1
    assert events[0].step == 14


@pytest.mark.parametrize(
    ("settings", "killed_at"),
    [
        ({}, 52),
        ({"sparsity": 0.4, "reactivation": "after-prune"}, 52),
        ({"sparsity": 0.4, "reactivation": "after-prune"}, 69),
        ({"optimizer": "adam", "learning_rate": 0.01, "accumulate": 2, "train_precision": "bf16"}, 60),
    ],
)
def test_a_killed_search_ends_bit_for_bit_like_an_undisturbed_one(
    search: Build, tmp_path: Path, settings: dict[str, Any], killed_at: int
) -> None:
    undisturbed, _ = search("a", **settings)
    undisturbed.run(_quiet)
    killed, _ = search("b", **settings)

    def advance(count: int, note: str = "") -> None:
        if killed.loop.step == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(advance)
    resumed, _ = search("b", seed=1, **settings)
    assert resumed.resume()
    assert resumed.loop.step == 50
    resumed.run(_quiet)
    for path in points_in(tmp_path / "a"):
        expected, actual = load_point(path), load_point(tmp_path / "b" / path.name)
        assert (expected.widths, expected.costs, expected.step) == (actual.widths, actual.costs, actual.step)
        for part in ("weights", "masks", "scores"):
            ours, theirs = getattr(expected, part), getattr(actual, part)
            assert set(ours) == set(theirs)
            assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == [], (
                path.name,
                part,
            )
    assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_new_search_has_nothing_to_resume(search: Build) -> None:
    job, _ = search()
    assert not job.resume()
    assert job.loop.step == 0


def _stopped_after(job: TwoInOne, steps: int) -> None:
    def advance(count: int, note: str = "") -> None:
        if job.loop.step == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.run(advance)


def test_the_cuts_lie_where_they_are_asked_for(search: Build) -> None:
    job, events = search(shrinks=3, shrink_from=0.5, shrink_to=1.0)
    job.run(_quiet)
    assert [event.step for event in events] == [35, 52, 70]


def test_the_penalty_starts_as_strong_and_rises_as_long_as_it_is_asked_to(
    search: Build, pricing: Callable[..., Pricing]
) -> None:
    left = {}
    for warmup in (0, 1e9):
        job, _ = search(str(warmup), penalty_strength=1e6, penalty_warmup_epochs=warmup)
        _stopped_after(job, 1)
        assert job.loop.hooks[1].facts() == {"strength": 1e6}
        units = pricing({}).space.units.values()
        factors = [factor for unit in units for factor, _ in Places(job.model, units).factors(unit)]
        left[warmup] = sum(int(factor.weight.count_nonzero()) for factor in factors)  # type: ignore[operator]
    assert left[0] == 0 < left[1e9]


def test_factors_below_the_threshold_count_as_gone(search: Build) -> None:
    alive = {}
    for threshold in (0.0, 1e3):
        job, events = search(str(threshold), shrinks=1, shrink_to=0.2, alive_above=threshold)
        _stopped_after(job, 15)
        alive[threshold] = events[0].alive["latency"], events[0].strength
    (least, weaker), (most, stronger) = alive[1e3], alive[0.0]
    assert least < most and weaker < stronger


def test_statistics_are_of_as_many_batches_as_asked_for(
    search: Build, tiny_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = tiny_task.calibration_batch
    monkeypatch.setattr(tiny_task, "calibration_batch", lambda index: seen.append(index) or real(index))
    job, _ = search(shrinks=0, calibration_batches=3)
    job.loop.steps = 2
    job.run(_quiet)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("part", ["loss", "calibration_batch"])
def test_memory_that_runs_out_after_the_last_step_is_one_line(
    search: Build, tiny_task: Task, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    job, _ = search(shrinks=0)
    job.loop.steps = 1

    def exhaust(*_: object) -> None:
        raise MemoryError

    what = {"loss": "channels are scored; raise accumulate", "calibration_batch": "batch norms are .*; lower"}
    with pytest.raises(HwticketsError, match=f"out of memory on cpu while {what[part]}"):
        job.run(lambda count, note="": monkeypatch.setattr(tiny_task, part, exhaust))


def test_masks_survive_every_shrink(search: Build, tmp_path: Path) -> None:
    job, events = search(sparsity=0.5, reactivation="none")
    seen: list[tuple[int, float]] = []

    def advance(count: int, note: str = "") -> None:
        masks = job.loop.hooks[3].tensors()
        if masks:
            zeros = sum(int((~mask).sum()) for mask in masks.values())
            seen.append((job.loop.step, zeros / sum(mask.numel() for mask in masks.values())))

    job.run(advance)
    steps = [step for step, _ in seen]
    assert steps == list(range(steps[0], PLAN.search + 1)), "once pruned, there are masks at every step"
    assert len([event for event in events if event.step > steps[0]]) >= 2, (
        "shrinks came after the first pruning"
    )
    assert seen[-1][1] == pytest.approx(0.5, abs=0.02)
    point = load_point(points_in(tmp_path / "a")[-1])
    assert all(not point.weights[name][~mask].any() for name, mask in point.masks.items())


def test_the_price_changes_what_is_kept(search: Build, pricing: Callable[..., Pricing]) -> None:
    kept = {}
    for price in ("latency", "macs"):
        job, events = search(price, {"latency": 0.6}, price=price)
        job.run(_quiet)
        units = pricing({}).space.units.values()
        kept[price] = present_widths(job.model, units), events[-1].strength
        assert events[-1].costs["latency"] <= events[-1].limits["latency"]
    assert kept["latency"] != kept["macs"]


def test_the_strength_rises_while_the_penalty_alone_does_not_reach_the_limit(search: Build) -> None:
    """The first shrinks come before any scale is zero: the strength must grow."""
    job, events = search()
    job.run(_quiet)
    for before, after in itertools.pairwise(events):
        over = after.alive["latency"] > after.limits["latency"]
        assert (after.strength > before.strength) == over
    assert events[0].alive["latency"] > events[0].limits["latency"]
    assert events[1].strength > events[0].strength

"""Two-in-one training with masks of every kind: they hold to the ticket, and a kill changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hwtickets.config import SearchConfig, SupernetConfig
from hwtickets.deploy.deployable import deployable
from hwtickets.devices import get_device
from hwtickets.search.draw import draw_within
from hwtickets.search.masking import mask_record
from hwtickets.search.points import DrawPoint, load_point, points_in
from hwtickets.search.shrinking import Pricing
from hwtickets.search.tickets import cut
from hwtickets.search.two_in_one import StepPlan, TwoInOne
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_space
from hwtickets.sparsity.mask import apply_masks, magnitudes, maskable_layers, maskable_weights, sparsity_of
from hwtickets.sparsity.patterns import build_granularity
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task

#: The checkpoint is of step 50: cuts and prunings lie on both sides of it.
PLAN = StepPlan(search=60, total=60)
Search = Callable[..., TwoInOne]


@pytest.fixture
def search(
    tiny_model: Callable[..., Supernet], tiny_task: Task, pricing: Callable[..., Pricing], tmp_path: Path
) -> Search:
    def build(name: str, seed: int = 0, **settings: object) -> TwoInOne:
        config = SearchConfig.model_validate(
            {"budgets": {"latency": "60%"}, "batch_size": 20, "shrinks": 3, **settings}
        )
        (tmp_path / name).mkdir(exist_ok=True)
        prices = pricing({"latency": 0.6})
        return TwoInOne(tiny_model(seed), tiny_task, prices, config, PLAN, tmp_path / name, lambda _: None)

    return build


def _quiet(count: int, note: str = "") -> None:
    return None


def _kill_and_resume(search: Search, settings: dict[str, Any]) -> None:
    killed = search("b", **settings)

    def advance(count: int, note: str = "") -> None:
        if killed.loop.step == 52:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(advance)
    resumed = search("b", seed=1, **settings)
    assert resumed.resume() and resumed.loop.step == 50
    resumed.run(_quiet)


def _removed(point: DrawPoint) -> float:
    removed = sum(int((~mask).sum()) for mask in point.masks.values())
    return removed / sum(mask.numel() for mask in point.masks.values())


@pytest.mark.parametrize(
    ("pattern", "importance", "reactivation", "schedule"),
    [
        ("2:4", "snip", "at-shrink", "steps-of-0.1"),
        ("block-4x4", "random", "none", "cubic"),
        ("unstructured", "grasp", "at-shrink", [0.2, 0.45, 0.5]),
    ],
)
def test_a_killed_search_ends_with_the_masks_of_an_undisturbed_one(
    search: Search, tmp_path: Path, pattern: str, importance: str, reactivation: str, schedule: str
) -> None:
    settings: dict[str, Any] = {
        "sparsity": 0.5,
        "mask_pattern": pattern,
        "mask_importance": importance,
        "reactivation": reactivation,
        "prune_schedule": schedule,
    }
    search("a", **settings).run(_quiet)
    _kill_and_resume(search, settings)
    paths = points_in(tmp_path / "a")
    for path in paths:
        expected, actual = load_point(path), load_point(tmp_path / "b" / path.name)
        assert set(expected.masks) == set(actual.masks)
        assert all(torch.equal(mask, actual.masks[name]) for name, mask in expected.masks.items()), path.name
    assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), "all the rest is the same too"
    points = [load_point(path) for path in paths]
    assert [_removed(point) for point in points] == [pytest.approx(0.5, abs=0.03)] * 4, (
        "a ticket drawn from an early point is as sparse as one from the last"
    )
    assert all(not points[-1].weights[name][~mask].any() for name, mask in points[-1].masks.items())


@pytest.mark.parametrize("pattern", ["2:4", "block-4x4"])
def test_a_pattern_holds_to_the_ticket(
    search: Search, pricing: Callable[..., Pricing], tiny_task: Task, tmp_path: Path, pattern: str
) -> None:
    run = search("a", sparsity=0.5, mask_pattern=pattern, prune_schedule="one-shot", prune_to=0.5)
    run.run(_quiet)
    prices = pricing({"latency": 0.45})
    point = load_point(points_in(tmp_path / "a")[-1])
    priced = price_space(prices.space, prices.costs, 4, point.widths, 0)
    drawn = draw_within(priced, point.scores, prices.limits, "latency")
    supernet = SupernetConfig(sizes=run.model.sizes)
    network = cut(point, drawn, prices.space, supernet, tiny_task, pattern)
    assert set(network.masks) == set(build_granularity(pattern).layers(network.model)) != set()
    for name, mask in network.masks.items():
        weight = network.model.get_parameter(name).detach()
        assert not weight[~mask].any()
        whole = mask.unflatten(1, (-1, 4)).sum(2) if pattern == "2:4" else _blocks(mask)
        assert bool((whole == 2).all()) if pattern == "2:4" else bool(((whole == 0) | (whole == 16)).all())
    settings = {"budgets": {"latency": "60%"}, "sparsity": 0.5, "mask_pattern": pattern}
    record = mask_record(SearchConfig.model_validate(settings), get_device("cpu"), network.model)
    assert record["pattern"] == pattern and not record["latency_credited"]
    assert record["zeros"] == sparsity_of(network.model) > 0.2
    assert sum(record["dense"].values()) == len(maskable_weights(network.model)) - len(network.masks)


@pytest.mark.parametrize("form", ["split", "merged"])
def test_the_deployed_network_has_the_pattern_too(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, form: str
) -> None:
    """Norms are folded into the weights, branches joined, missing groups filled up with zeros."""
    model, pattern = tiny_model(shaken=True), build_granularity("2:4")
    apply_masks(model, pattern.masks(model, magnitudes(model), 0.5))
    deployed = deployable(model, dict.fromkeys(tiny_space.blocks, form))
    weights = [layer.weight for layer in maskable_layers(deployed).values() if not pattern.obstacle(layer)]
    assert len(weights) > 4
    assert all(bool(((weight != 0).unflatten(1, (-1, 4)).sum(2) <= 2).all()) for weight in weights)


def _blocks(mask: torch.Tensor) -> torch.Tensor:
    return mask[:, :, 0, 0].unflatten(1, (-1, 4)).unflatten(0, (-1, 4)).sum((1, 3))


def _partly_masked(mask: torch.Tensor) -> bool:
    kept = mask.flatten(1)
    return bool((kept.any(1) & ~kept.all(1)).any())


def test_reactivation_decides_whether_masks_are_in_force_between_the_events(
    search: Search, tmp_path: Path
) -> None:
    masked = {}
    for reactivation in ("none", "at-shrink", "after-prune"):
        settings: dict[str, Any] = {"sparsity": 0.4, "reactivation": reactivation, "prune_from": 0.1}
        run = search(reactivation, **settings)
        steps: list[int] = []

        def advance(count: int, note: str = "", run: TwoInOne = run, steps: list[int] = steps) -> None:
            hook = next(hook for hook in run.loop.hooks if hook.name == "masks")
            # Filters that lost all their weights stay closed; they are not what is asked here.
            steps += [run.loop.step] if any(map(_partly_masked, hook.tensors().values())) else []

        run.run(advance)
        masked[reactivation] = steps
    # Prunings after steps 6, 22, 38 and 54; cuts after 12, 30 and 48.
    assert masked["none"] == list(range(7, 61))
    assert masked["at-shrink"] == [*range(7, 13), *range(23, 31), *range(39, 49), *range(55, 61)]
    assert masked["after-prune"] == list(range(55, 61))

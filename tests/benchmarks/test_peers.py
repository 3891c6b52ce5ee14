from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks import peer_networks
from benchmarks.bisection import MOST_TRIES, RefusedError, Try, best_try, bisect
from benchmarks.peer_fastnas import FastNAS, missing_fastnas
from benchmarks.peer_networks import NETWORKS, Block, ViT
from benchmarks.peer_pruners import ROUND_TO, SparseTraining, Subject, TorchPruning
from benchmarks.peer_results import (
    against_best_peer,
    at_equal_latency,
    by_budget,
    hypervolume,
    hypervolumes,
    tables_of,
)
from benchmarks.peer_training import train
from hwtickets.config import SearchConfig
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.space.space import space_of
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.splits import ArraySplit

SHAPE = (3, 16, 16)


def small_resnet() -> nn.Module:
    torch.manual_seed(0)
    return peer_networks.ResNet(3, 10, (16, 16, 32, 32)).eval()


def small_vit() -> nn.Module:
    torch.manual_seed(0)
    return ViT(3, 10, 16, width=32, depth=1, heads=2).eval()


def weights(body: nn.Module) -> int:
    return sum(parameter.numel() for parameter in body.parameters())


@pytest.fixture(scope="module")
def task() -> Classification:
    random = torch.Generator().manual_seed(0)

    def split(count: int) -> ArraySplit:
        images = torch.randint(0, 256, (count, *SHAPE), generator=random, dtype=torch.uint8)
        return ArraySplit(images, torch.arange(count) % 10)

    return Classification(Dataset.of("random", split(64), split(16), split(16), list("abcdefghij")), 8)


@pytest.fixture
def config() -> SearchConfig:
    return SearchConfig(budgets={"latency": "50%"}, batch_size=8, epochs=1, recipe="finetune", threads=1)


@pytest.fixture
def resnet(task: Classification, config: SearchConfig, tmp_path: Path) -> Subject:
    return Subject(small_resnet(), task, config, 8, tmp_path)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_built_by_reference_and_have_units(name: str) -> None:
    sizes = NETWORKS[name].sizes(SHAPE, 10)
    builder = sizes["reference"].partition(":")[2]
    model = HostedNetwork(getattr(peer_networks, builder)(**sizes["arguments"]), SHAPE)
    space = space_of(model, "module")
    assert model.classes == 10
    assert len(space.units) >= 6
    assert "head" not in {
        member.module for unit in space.units.values() for member in unit.members if not member.reads
    }


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_torch_pruning_takes_channels_of_all_kinds_of_networks(
    resnet: Subject, task: Classification, config: SearchConfig, tmp_path: Path, importance: str
) -> None:
    for body in (resnet.body, small_vit()):
        before = weights(body)
        pruner = TorchPruning(Subject(body, task, config, 8, tmp_path), importance)
        half = pruner.pruned(0.5)
        assert weights(half) < weights(pruner.pruned(0.9)) < before == weights(body)
        assert half(torch.zeros(1, *SHAPE)).shape == (1, 10)
        convolutions = [part for part in half.modules() if isinstance(part, nn.Conv2d)]
        assert all(part.out_channels % ROUND_TO == 0 for part in convolutions)
        assert all(parameter.grad is None for parameter in half.parameters())


def test_heads_follow_what_torch_pruning_leaves(
    task: Classification, config: SearchConfig, tmp_path: Path
) -> None:
    half = TorchPruning(Subject(small_vit(), task, config, 8, tmp_path), "magnitude").pruned(0.5)
    [attention] = [part.attention for part in half.modules() if isinstance(part, Block)]
    assert attention.qkv.out_features == 3 * attention.num_heads * attention.head_dim
    assert attention.head_dim < 16


def test_sparse_training_spends_steps_of_its_own(resnet: Subject) -> None:
    pruner = SparseTraining(resnet)
    assert pruner.spent_steps == resnet.plan.search < resnet.plan.total
    pruner.prepare()
    trained, before = pruner.pruned(0.99), resnet.body
    assert weights(trained) <= weights(before)
    assert not torch.equal(trained.get_submodule("head").bias, before.get_submodule("head").bias)


def test_fastnas_keeps_a_limit_of_flops_and_refuses_an_impossible_one(resnet: Subject) -> None:
    if missing_fastnas():
        pytest.skip(missing_fastnas())
    # Coarse steps, as every one is scored.
    pruner = FastNAS(replace(resnet, alignment=16))
    pruner.prepare()
    small = pruner.pruned(0.9)
    assert weights(small) < weights(resnet.body)
    assert small(torch.zeros(1, *SHAPE)).shape == (1, 10)
    with pytest.raises(RefusedError, match=r"^FastNAS at 0\.001: [^\n]*satisf[^\n]*$"):
        pruner.pruned(0.001)


def test_a_pruned_network_is_trained_as_a_ticket_is(resnet: Subject) -> None:
    body = TorchPruning(resnet, "magnitude").pruned(0.5)
    before = copy.deepcopy(body)
    train(body, resnet.task, resnet.config, 3, 4)
    assert not body.training
    assert not torch.equal(body.get_submodule("head").weight, before.get_submodule("head").weight)
    assert [tensor.shape for tensor in body.parameters()] == [tensor.shape for tensor in before.parameters()]


@given(st.floats(0.1, 0.9), st.floats(1.0, 3.0))
def test_a_smooth_knob_is_brought_within_the_budget(budget: float, power: float) -> None:
    tries = bisect(lambda kept: kept**power, budget, 0.03, most=40)
    assert 0.9 * budget <= best_try(tries, budget).share <= budget  # type: ignore[union-attr, operator]


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.9), st.integers(1, 9))
def test_a_knob_with_a_stop_and_steps_ends(budget: float, stop: float, steps: int) -> None:
    def share_at(kept: float) -> float:
        if kept < stop:
            raise RefusedError("too small")
        return round(kept * steps) / steps

    tries = bisect(share_at, budget, 0.03)
    assert len(tries) <= MOST_TRIES
    assert all((one.share is None) == (one.kept < stop) for one in tries)
    chosen, shares = best_try(tries, budget), [one.share for one in tries if one.share is not None]
    within = [share for share in shares if share <= budget]
    expected = max(within) if within else min(shares, default=None)
    assert (chosen.share if chosen else None) == expected


def test_no_try_that_was_made_is_no_network() -> None:
    assert best_try([Try(0.5, None)], 0.5) is None


def test_hypervolume_is_the_area_that_is_dominated() -> None:
    volume = partial(hypervolume, worst=(1.0, 10.0))
    assert volume([(0.5, 60.0)]) == 25.0
    assert volume([(0.5, 60.0), (0.75, 80.0)]) == 25.0 + 5.0
    # What is dearer and worse, dearer than the dense network, or worse than guessing adds nothing.
    assert volume([(0.75, 80.0), (0.5, 60.0), (0.6, 50.0), (1.1, 99.0), (0.1, 9.0)]) == 30.0


def entry(method: str, seed: int, test: float, share: float, budget: float | None = 0.5) -> dict[str, object]:
    place = {"network": "resnet", "seed": seed, "method": method, "budget": budget}
    spent = {"tries": 2, "search_seconds": 1.0, "seconds": 3.0}
    return {**place, "ours": method == "mine", "test": test, "measured": {"median": share}, **spent}


def test_only_peers_that_keep_the_budget_are_compared_with() -> None:
    networks = [
        *(entry("dense", seed, 90.0, 1.0, None) for seed in (0, 1)),
        *(entry("mine", seed, 88.0 + seed, 0.49) for seed in (0, 1)),
        *(entry("slow", seed, 89.5, 0.5 + 0.1 * seed) for seed in (0, 1)),
        *(entry("good", seed, 87.0, 0.51) for seed in (0, 1)),
        entry("short", 1, 86.0, 0.4),
    ]
    summary = by_budget(networks)
    found = {one["method"]: one for one in summary}
    assert found["mine"]["difference"] == [-2.0, -1.0]
    assert found["mine"]["off_budget"] == pytest.approx([-0.02, -0.02])
    assert [method for method in found if not found[method]["kept"]] == ["slow"]
    [compared] = against_best_peer(summary)
    assert compared["best_peer"] == "good" and compared["difference"] == [1.0, 2.0]
    volumes = {one["method"]: one["hypervolume"] for one in hypervolumes(networks, 10.0)}
    assert volumes["mine"] == pytest.approx([0.51 * 78 / 90, 0.51 * 79 / 90])
    assert len(volumes["short"]) == 1 and "dense" not in volumes
    result = {
        "summary": summary,
        "hypervolumes": hypervolumes(networks, 10.0),
        "against_best_peer": [compared],
        "at_equal_latency": at_equal_latency(networks),
        "once": [entry("good", 0, 0.0, 0.0, None)],
        "skipped": {"other": "not installed"},
    }
    texts = [table.text() for table in tables_of(result, "random data")]
    assert "slow (above budget)" in texts[0] and "+20.0%" in texts[0]
    assert "short (below budget)" in texts[0] and "mine (below budget)" not in texts[0]
    assert "1.50 ± 0.71" in texts[2] and "not installed" in texts[4]
    assert any("short" in line and "1 of 2" in line for line in texts[3].splitlines())


def test_the_best_peer_is_found_for_each_way_of_training() -> None:
    taught = [entry("good", 0, 87.5, 0.5), entry("other", 0, 86.0, 0.5)]
    alone = [entry("good, data alone", 0, 84.0, 0.5), entry("other, data alone", 0, 85.0, 0.5)]
    networks = [entry("dense", 0, 90.0, 1.0, None), entry("mine", 0, 88.0, 0.49), *taught, *alone]
    found = [
        (one["peers_trained"], one["best_peer"], one["difference"])
        for one in against_best_peer(by_budget(networks))
    ]
    assert found == [("as ours", "good", [0.5]), ("on the data alone", "other, data alone", [3.0])]


def test_peers_are_interpolated_at_our_latency() -> None:
    networks = [
        entry("dense", 0, 90.0, 1.0, None),
        entry("mine", 0, 88.0, 0.5),
        *(entry("peer", 0, test, share, share) for share, test in ((0.4, 80.0), (0.6, 86.0))),
        entry("slow", 0, 84.0, 0.6),
        entry("late", 0, 84.0, 0.3),
    ]
    found = {one["peer"]: one["difference"] for one in at_equal_latency(networks)}
    # Half way from 80 to 86, and two sevenths of the way from 84 to the dense 90.
    assert found["peer"] == pytest.approx([5.0]) and found["slow"] == []
    assert found["late"] == pytest.approx([88 - (84 + 6 * 2 / 7)])


def test_where_no_peer_keeps_the_budget_it_says_so() -> None:
    summary = by_budget([entry("dense", 0, 90.0, 1.0, None), entry("mine", 0, 88.0, 0.5)])
    [compared] = against_best_peer(summary)
    assert compared["best_peer"] is None and compared["difference"] == []

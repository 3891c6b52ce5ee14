from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hwtickets.config import SearchConfig
from hwtickets.config_files import load_config
from hwtickets.errors import UsageError
from hwtickets.main_job.pipeline import stages_of
from hwtickets.pipelines import PIPELINES
from hwtickets.search.points import load_point, points_in
from hwtickets.sparsity.mask import maskable_weights, sparsity_of
from hwtickets.sparsity.ticket import Ticket

Search = Callable[..., dict[str, Any]]
SPARSE = {"sparsity": 0.5, "baseline": False}


def _ticket(folder: Path, report: dict[str, Any]) -> Ticket:
    """The ticket of a run, which is what the report says of it."""
    ticket = Ticket.load(folder / "ticket")
    entry = report["tickets"][0]
    assert {unit["name"]: unit["kept"] for unit in entry["units"]} == ticket.architecture.widths
    assert entry["verify"]["max_rel_error"] < 1e-4 and entry["latency_ms"]["p50"] > 0
    assert sparsity_of(ticket.module()) == pytest.approx(entry["sparsity"])
    return ticket


def _kept(ticket: Ticket) -> dict[str, torch.Tensor]:
    return {name: weight != 0 for name, weight in maskable_weights(ticket.module()).items()}


def test_search_then_prune_masks_what_it_has_drawn(search: Search, tmp_path: Path) -> None:
    report = search(tmp_path / "run", pipeline="search-then-prune", **SPARSE)
    ticket = _ticket(tmp_path / "run", report)
    assert sparsity_of(ticket.module()) == pytest.approx(0.5, abs=0.05)
    assert report["budgets"][0]["kept"]
    assert all(not load_point(path).masks for path in points_in(tmp_path / "run" / "state" / "latency"))
    assert ticket.provenance["steps"] == 18
    masked = search(tmp_path / "masked", pipeline="search-then-prune", **SPARSE, recipe="none")
    same, kept = _kept(_ticket(tmp_path / "masked", masked)), _kept(ticket)
    assert [name for name in kept if (kept[name] & ~same[name]).any()] == [], "the recipe trains what is left"


def test_masks_of_a_fresh_network_grow_as_in_a_search(search: Search, tmp_path: Path) -> None:
    report = search(tmp_path / "run", pipeline="uniform", budgets={"macs": "70%"}, **SPARSE)
    ticket = _ticket(tmp_path / "run", report)
    assert sparsity_of(ticket.module()) == pytest.approx(0.5, abs=0.05)
    assert (ticket.provenance["recipe"], ticket.provenance["steps"]) == ("scratch", 36)


def test_prune_only_keeps_every_channel_and_takes_no_budget(search: Search, tmp_path: Path) -> None:
    report = search(tmp_path / "run", pipeline="prune-only", budgets={}, **SPARSE)
    ticket = _ticket(tmp_path / "run", report)
    assert ticket.architecture.widths == ticket.architecture.totals
    assert sparsity_of(ticket.module()) == pytest.approx(0.5, abs=0.05)
    assert report["budgets"] == []


def test_a_uniform_network_is_as_wide_everywhere_as_the_budget_allows(search: Search, tmp_path: Path) -> None:
    report = search(
        tmp_path / "run", pipeline="uniform", baseline=False, max_draws=2, budgets={"latency": "95%"}
    )
    ticket = _ticket(tmp_path / "run", report)
    widths, totals = ticket.architecture.widths, ticket.architecture.totals
    shares = {width / totals[name] for name, width in widths.items()}
    assert max(shares) <= 1 and len({round(share, 6) for share in shares}) <= 2
    assert (ticket.provenance["recipe"], ticket.provenance["steps"]) == ("scratch", 36)
    assert not list((tmp_path / "run" / "state").glob("latency/point-*"))
    draws = report["tickets"][0]["draws"]
    assert draws and all(draw["measured_ms"] > 0 for draw in draws)


def test_a_random_network_keeps_the_budget(search: Search, tmp_path: Path) -> None:
    report = search(tmp_path / "run", pipeline="random", epochs=1, baseline=False, budgets={"macs": "60%"})
    ticket = _ticket(tmp_path / "run", report)
    assert report["budgets"][0]["kept"]
    widths = ticket.architecture.widths
    assert all(width % 8 == 0 for width in widths.values())
    assert len({width / ticket.architecture.totals[name] for name, width in widths.items()}) > 1
    assert ticket.provenance["recipe"] == "scratch"


def test_a_shuffled_mask_keeps_no_more_of_each_layer_elsewhere(
    search: Search, finished: Path, tmp_path: Path
) -> None:
    report = search(tmp_path / "run", pipeline="shuffled-mask", sparsity=0.5, recipe="finetune")
    own, other = _kept(_ticket(tmp_path / "run", report)), _kept(Ticket.load(finished / "ticket"))
    assert own.keys() == other.keys(), "it is the ticket of the same search"
    # A weight that came back starts at zero, and stays there where a channel never fires.
    assert all(int(kept.sum()) <= int(other[name].sum()) for name, kept in own.items())
    assert sum(int((kept & ~other[name]).sum()) for name, kept in own.items()) > 50


def test_a_random_ticket_has_the_widths_and_shares_of_zeros_and_nothing_else(
    search: Search, finished: Path, tmp_path: Path
) -> None:
    more = {**SPARSE, "recipe": "finetune"}
    ticket = _ticket(tmp_path / "run", search(tmp_path / "run", pipeline="random-ticket", **more))
    drawn = Ticket.load(finished / "ticket")
    assert ticket.architecture.widths == drawn.architecture.widths, "it is drawn as in two-in-one"
    own, other = _kept(ticket), _kept(drawn)
    assert {name: int(kept.sum()) for name, kept in own.items()} == {
        name: int(kept.sum()) for name, kept in other.items()
    }
    assert sum(int((kept & ~other[name]).sum()) for name, kept in own.items()) > 50, "other ones are zero"
    assert (ticket.provenance["recipe"], ticket.provenance["steps"]) == ("scratch", 36)
    weights = [ticket.weights["classifier.weight"], drawn.weights["classifier.weight"]]
    alike = torch.corrcoef(torch.stack([weight.flatten() for weight in weights]))[0, 1]
    assert abs(alike) < 0.3, "all weights are new"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"pipeline": "prune-only", "budgets": {"latency": "50%"}, "sparsity": 0.5}, "leave the budget out"),
        ({"pipeline": "prune-only", "budgets": {}}, "say what share they remove"),
        ({"pipeline": "two-in-one", "budgets": {}}, "no budget is given"),
        ({"pipeline": "search-only", "sparsity": 0.5}, "masks nothing"),
        ({"pipeline": "shuffled-mask"}, "is about masks"),
        ({"pipeline": "search-then-prune"}, "is about masks"),
        ({"pipeline": "uniform", "recipe": "rewind"}, "cannot end with recipe rewind"),
        ({"pipeline": "random-ticket", "recipe": "rewind"}, "choose one of distill, finetune, scratch"),
        ({"pipeline": "search-then-prune", "sparsity": 0.5, "recipe": "scratch"}, "choose one of distill"),
        ({"pipeline": "two-in-two"}, "'pipeline' is not right"),
        ({"pipeline": "post-training"}, "starts from a trained network: give its weights with --checkpoint"),
        ({"pipeline": "post-training", "checkpoint": "w.pt", "recipe": "scratch"}, "choose one of distill"),
    ],
)
def test_what_does_not_go_together_is_one_line(asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        load_config(None, {"budgets": {"latency": "40%"}, **asked} if "budgets" not in asked else asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pipeline", list(PIPELINES))
def test_every_pipeline_says_its_stages(pipeline: str) -> None:
    needs = {"sparsity": 0.5} if PIPELINES[pipeline].needs_masks else {}
    budgets = {"latency": "40%"} if PIPELINES[pipeline].budgeted else {}
    trained = {"checkpoint": "trained.safetensors"} if pipeline == "post-training" else {}
    asked = {"pipeline": pipeline, "budgets": budgets, "compare": ["macs"], **needs, **trained}
    config = SearchConfig.model_validate(asked)
    stages = stages_of(config)
    assert stages[:3] == ["data", "latency table", "profile"] and stages[-1] == "report"
    assert ("search" in stages) == PIPELINES[pipeline].searches
    assert ("score" in stages) == ("try" in stages) == (pipeline == "post-training")
    assert ("draw by macs" in stages) == (PIPELINES[pipeline].network == "valued")

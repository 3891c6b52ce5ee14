from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import common, prices, trial_ranking
from hwtickets.config import SearchConfig
from hwtickets.config_files import load_config
from hwtickets.errors import UsageError
from hwtickets.runs import RunFolder
from tests.benchmarks.commands import printed

SAMPLE = Path(__file__).parents[1] / "data" / "fashion-mnist"
CONFIG = f"""
data: fashion-mnist:{SAMPLE}
supernet: {{name: mobile, sizes: {{stages: [[16, 1, 1], [32, 1, 2]], expand_ratio: 2, kernel_sizes: [3, 5]}}}}
latency: 60%
epochs: 1
shrinks: 1
max_draws: 1
threads: 1
finetune_share: 0.5
batch_size: 15
"""
Command = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def command(folder: Path) -> Command:
    """Runs a benchmark and returns what it printed; all share one latency table of a tiny supernet."""
    (folder / "tiny.yaml").write_text(CONFIG)

    def run(name: str, *arguments: str, code: int = 0) -> str:
        given = () if name in ("closed_loop", "trial_ranking") else ("--config", str(folder / "tiny.yaml"))
        done = printed(name, *arguments, *given, code=code, HWTICKETS_HOME=str(folder / "home"))
        return done.err if code else done.out

    return run


@pytest.fixture(scope="module")
def accuracy(command: Command, folder: Path) -> dict[str, Any]:
    where = ("--runs", str(folder / "runs"), "--output", str(folder / "accuracy.jsonl"))
    return json.loads(command("accuracy", "--seeds", "0", "--budgets", "60%", *where, "--json"))


def test_prediction_reports_every_group_and_predictor(command: Command) -> None:
    result = json.loads(command("prediction", "--networks", "4", "--json"))
    groups = {(point["widths"], point["forms"]) for point in result["points"]}
    assert groups == {(widths, forms) for widths in ("uniform", "sparse") for forms in ("drawn", "random")}
    for point in result["points"]:
        assert len(point["measured_ms"]) == len(point["predicted_ms"]) == 4
        for predictor in ("table", "table, corrected", "MACs"):
            assert 0 <= point[predictor]["median_error"] <= point[predictor]["p90_error"]
            assert -1 <= point[predictor]["kendall_tau"] <= 1


def test_accuracy_compares_networks_of_equal_steps(accuracy: dict[str, Any]) -> None:
    networks = {network["method"]: network for network in accuracy["networks"]}
    assert list(networks) == ["dense", "latency", "macs", "uniform"]
    assert networks["dense"]["steps"] == networks["uniform"]["steps"]
    assert networks["dense"]["measured"]["median"] == 1
    narrow = set(networks["uniform"]["widths"].values())
    assert len(narrow) == 1 and narrow < {8, 16, 32}, "one of the widths that this processor aligns to"
    entries = {entry["method"]: entry for entry in accuracy["summary"]}
    assert entries["latency"]["difference"] == [networks["latency"]["test"] - networks["dense"]["test"]]
    assert entries["latency"]["draws"] == [1]


def test_pipelines_are_compared_at_equal_steps(command: Command, folder: Path) -> None:
    where = ("--runs", str(folder / "pipelines"), "--output", str(folder / "pipelines.jsonl"))
    asked = ("--seeds", "0", "--sparsities", "0.5", "--latency", "80%", "--method", "two-in-one")
    result = json.loads(command("pipelines", *asked, *where, "--json"))
    dense, ticket = result["networks"]
    assert (dense["method"], ticket["method"]) == ("dense", "two-in-one")
    assert ticket["sparsity"] == pytest.approx(0.5, abs=0.1)
    assert ticket["steps"] == dense["steps"] / 2, "the search has the other half"
    assert ticket["recipe_macs"] == ticket["macs"] * ticket["steps"]
    assert ticket["recipe_macs"] <= ticket["search_macs"], "the supernet is at least as large as the ticket"
    entries = {entry["method"]: entry for entry in result["summary"]}
    assert entries["two-in-one"]["difference"] == [ticket["test"] - dense["test"]]
    assert entries["two-in-one"]["training_macs"] == [ticket["search_macs"] + ticket["recipe_macs"]]


def test_prices_differ_in_keys_that_a_search_has() -> None:
    made = [SearchConfig(budgets={"latency": "40%"}, **keys) for keys in prices.VARIANTS.values()]
    assert len({config.model_dump_json() for config in made}) == len(made) == 4


def test_alignment_is_compared_at_equal_macs(command: Command, folder: Path) -> None:
    asked = ("--seeds", "0", "--macs", "70%", "--multiples", "1,8", "--runs", str(folder / "aligned"))
    _, free, aligned = json.loads(command("aligned", *asked, "--json"))["networks"]
    assert free["kept"] and aligned["kept"]
    assert all(width % 8 == 0 for width in aligned["widths"].values())


def test_a_second_run_takes_finished_points_from_the_output(
    command: Command, folder: Path, accuracy: dict[str, Any]
) -> None:
    before = (folder / "accuracy.jsonl").read_bytes()
    where = ("--runs", str(folder / "nowhere"), "--output", str(folder / "accuracy.jsonl"))
    text = command("accuracy", "--seeds", "0", "--budgets", "60%", *where)
    assert (folder / "accuracy.jsonl").read_bytes() == before
    assert not (folder / "nowhere").exists()
    assert text.startswith("command   python -m benchmarks.accuracy --seeds 0")
    assert "load average" in text and "onnxruntime" in text and "search by MACs" in text


def test_a_point_is_measured_once_with_and_without_an_output(tmp_path: Path) -> None:
    for output in (None, tmp_path / "points.jsonl"):
        points = common.Points("any", output, {"epochs": 1})
        measured = [points.once({"seed": seed}, lambda seed=seed: {"of": seed}) for seed in (0, 1)]
        again = [points.once({"seed": seed}, lambda: {"of": "another time"}) for seed in (0, 1)]
        assert again == measured == [{"of": 0}, {"of": 1}]
    assert common.Points("any", output, {"epochs": 1}).once({"seed": 0}, dict) == measured[0]
    assert common.Points("any", output, {"epochs": 2}).once({"seed": 0}, dict) == {}


def test_closed_loop_draws_feasible_budgets_and_names_the_others(
    command: Command, folder: Path, accuracy: dict[str, Any]
) -> None:
    run = folder / "runs" / "seed-0" / "60pc"
    result = json.loads(command("closed_loop", str(run), "--budgets", "65%,5%", "--json"))
    drawn, impossible = result["points"]
    assert len(drawn["draws"]) == 1 and drawn["measured_ms"] > 0
    assert "nearest feasible" in impossible["reason"]
    assert result["summary"]["feasible"] == 1


def test_forms_times_every_variant_beside_the_split_one(command: Command) -> None:
    networks = json.loads(command("forms", "--runs", "20", "--json"))["networks"]
    assert list(networks) == ["dense", "16 a branch", "mixed"]
    dense = networks["dense"]
    assert dense["all split"]["ratio"]["median"] == 1
    assert dense["all merged"]["merged"] == ["blocks.0", "blocks.1"]
    assert dense["blocks.1 merged"]["merged"] == ["blocks.1"]
    assert dense["all split, grouped residuals"]["predicted_ratio"] is None


def test_search_cost_takes_turns_with_plain_training(command: Command) -> None:
    small = ("--steps", "4", "--block", "2", "--large", "3x32x32", "--large-networks", "5")
    result = json.loads(command("search_cost", *small, "--json"))
    assert result["step"]["steps"] == 4 and result["whole"]["steps"] == 6
    assert result["step"]["lower_quartile"] <= result["step"]["ratio"] <= result["step"]["upper_quartile"]
    assert result["whole"]["ratio"] == pytest.approx(result["whole"]["search_s"] / result["whole"]["plain_s"])
    assert result["large_draw"]["median_s"] > 0


def test_a_wrong_budget_is_one_line(command: Command) -> None:
    text = command("accuracy", "--budgets", "8ms", code=2)
    assert text == "error: budget '8ms' is no share of the dense latency; write it as 40%\n"


def test_what_trials_go_by_is_compared_with_the_loss(command: Command, folder: Path) -> None:
    # By MACs: what networks 60 % of the measured latency leaves is another answer on every machine.
    by_macs = {"budgets": {"macs": "60%"}, "price": "macs", "alignment": 4}
    config = load_config(folder / "tiny.yaml", {"reconstruct": True, **by_macs})
    RunFolder.create(folder / "tried", config.model_dump(mode="json"))
    result = json.loads(command("trial_ranking", "--run", str(folder / "tried"), "--count", "8", "--json"))
    assert 3 <= len(result["networks"]) <= 8
    assert all(one["expected"] > 0 and one[trial_ranking.FIGURES[1]] > 0 for one in result["networks"])
    for parts in result["rank_correlation"].values():
        assert all(-1 <= value <= 1 for value in parts.values())


def test_a_figure_that_ranks_as_the_loss_does_has_a_correlation_of_one() -> None:
    loss, distance = trial_ranking.FIGURES
    found = [{loss: value % 3, distance: value**2, "expected": value} for value in (5.0, 1.0, 4.0, 2.0, 3.0)]
    ranked = trial_ranking.correlations(found)
    assert ranked[distance] == {"all": pytest.approx(1), "better half": pytest.approx(1)}
    assert ranked[loss]["better half"] == pytest.approx(-0.5)
    with pytest.raises(UsageError, match="leave 2 different networks"):
        trial_ranking.correlations(found[:2])

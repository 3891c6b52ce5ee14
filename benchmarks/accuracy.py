"""Accuracy at a latency budget: latency-priced search against MAC-priced search and uniform width scaling.

For every seed: the dense network, both searches at every budget through the library's own pipeline, and the
widest uniform network within the budget trained from scratch; all for the same number of steps, and all but
the dense one with the dense network as teacher where the recipe says so (the default). In the end
all networks of a seed are timed side by side. A uniform network cannot lose branches, so the narrowest one
may be above the budget: it is trained all the same and marked.

python -m benchmarks.accuracy --seeds 0,1,2 --budgets 40%,20% --output results/accuracy.jsonl
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, mean_and_spread, percent
from benchmarks.searches import Searches, side_by_side
from hwtickets.budgets import parse_budget
from hwtickets.config import SearchConfig
from hwtickets.errors import UsageError
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks import load_dataset
from hwtickets.tasks.classification import Classification

LABELS = {
    "dense": "dense",
    "latency": "search by latency",
    "macs": "search by MACs",
    "uniform": "uniform width",
}


class Seed:
    """Everything of one seed.

    Args:
        config: The search, its seed set.
        runs: Gets a run folder a search.
        points: Finished points.
        test_task: Larger test data to score on; the configuration's own if None.
    """

    def __init__(
        self, config: SearchConfig, runs: Path, points: Points, test_task: Classification | None
    ) -> None:
        self._test_task = test_task
        self._config, self._points = config, points
        self._searches = Searches(config, runs / f"seed-{config.seed}", "accuracy")

    def networks(self, budgets: list[str]) -> list[dict[str, Any]]:
        """One entry a network: seed, method, budget, test score and what else is known of it."""
        dense = self._once("dense", None, self._searches.dense)
        found = [{"method": "dense", "budget": None, **dense}]
        for budget in budgets:
            searched = self._once("search", budget, partial(self._search, budget))
            found += [{"method": price, "budget": budget, **one} for price, one in searched.items()]
            uniform = self._once("uniform", budget, partial(self._uniform, budget))
            found += [{"method": "uniform", "budget": budget, **uniform}] if uniform else []
        return self._timed(found, budgets)

    def _once(self, method: str, budget: str | None, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return self._points.once({"seed": self._config.seed, "method": method, "budget": budget}, measure)

    def _search(self, budget: str) -> dict[str, Any]:
        """Searches by both prices; empty where the budget is below the smallest network."""
        return self._searches.search(_folder(budget), {"latency": budget}, price="latency", compare=["macs"])

    def _uniform(self, budget: str) -> dict[str, Any]:
        """The widest uniform network within the budget; marked where even the narrowest is above it."""
        found = self._searches.search(f"uniform-{_folder(budget)}", {"latency": budget}, pipeline="uniform")
        return {**found["latency"], "above_budget": not found["latency"]["kept"]} if found else {}

    def _timed(self, networks: list[dict[str, Any]], budgets: list[str]) -> list[dict[str, Any]]:
        """Adds the measured share of the dense latency, all networks timed side by side."""
        names = [f"{network['method']} {network['budget']}" for network in networks]
        bundles = {name: Path(network["bundle"]) for name, network in zip(names, networks, strict=True)}
        shares = self._once(
            "side by side", ",".join(budgets), partial(side_by_side, bundles, self._config.device)
        )
        return [
            {"seed": self._config.seed, **network, **self._score(bundles[name]), "measured": shares[name]}
            for name, network in zip(names, networks, strict=True)
        ]

    def _score(self, bundle: Path) -> dict[str, float]:
        """The score on the test data that was asked for, instead of the configuration's own."""
        if self._test_task is None:
            return {}
        module = Ticket.load(bundle.with_name("ticket")).module()
        key = {"seed": self._config.seed, "test_data": self._test_task.dataset.name, "bundle": str(bundle)}
        task = self._test_task
        return {"test": self._points.once(key, lambda: {"test": task.score(module, "test")})["test"]}


def _folder(budget: str) -> str:
    return budget.replace("%", "pc")


def summarise(networks: list[dict[str, Any]], budgets: list[str]) -> list[dict[str, Any]]:
    """One entry for each budget and method: lists over the seeds, in order."""
    dense = {network["seed"]: network["test"] for network in networks if network["method"] == "dense"}
    entries = []
    for budget, method in [(None, "dense"), *((b, m) for b in budgets for m in LABELS if m != "dense")]:
        own = [one for one in networks if one["budget"] == budget and one["method"] == method]
        if not own:
            continue
        entries.append(
            {
                "budget": budget,
                "method": method,
                "test": [one["test"] for one in own],
                "difference": [one["test"] - dense[one["seed"]] for one in own],
                "share": [one["measured"]["median"] for one in own],
                "draws": [one["draws"] for one in own if "draws" in one],
                "seconds": [one["seconds"] for one in own],
                "above_budget": any(one.get("above_budget", False) for one in own),
            }
        )
    return entries


def row_of(entry: dict[str, Any]) -> list[str]:
    """A row of the table."""
    shares = entry["share"]
    return [
        entry["budget"] or "",
        LABELS[entry["method"]] + (" (above budget)" if entry["above_budget"] else ""),
        str(len(entry["test"])),
        mean_and_spread(entry["test"]),
        "" if entry["method"] == "dense" else mean_and_spread(entry["difference"]),
        f"{percent(statistics.fmean(shares))} ({percent(min(shares))} to {percent(max(shares))})",
        ", ".join(map(str, entry["draws"])),
        f"{statistics.fmean(entry['seconds']):.0f}",
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark.

    Raises:
        UsageError: A budget is no share of the dense latency.
    """
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument("--seeds", type=common.numbers, default=[0, 1, 2], help="default: 0,1,2")
    parser.add_argument("--budgets", type=common.texts, default=["40%", "20%"], help="default: 40%%,20%%")
    parser.add_argument(
        "--epochs", type=float, metavar="E", help="passes over the training data (default: the config's)"
    )
    parser.add_argument(
        "--test-data",
        metavar="DATA",
        help="score on the test split of this data, e.g. fashion-mnist:DIR: 10,000 images instead of 2,000",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/accuracy"), metavar="DIR", help="gets the run folders"
    )
    options = parser.parse_args()
    for budget in options.budgets:
        if not parse_budget("latency", budget).relative:
            raise UsageError(f"budget '{budget}' is no share of the dense latency; write it as 40%")
    return options


def larger_test(config: SearchConfig, data: str) -> Classification:
    """The task of `data`, normalised as the data that the networks are trained on."""
    trained, larger = load_dataset(config.data), load_dataset(data)
    return Classification(replace(larger, mean=trained.mean, std=trained.std), config.batch_size)


def main() -> None:
    """Trains, searches and prints the comparison."""
    options = arguments()
    epochs = {} if options.epochs is None else {"epochs": options.epochs}
    config = common.search_config(options.config, **epochs)
    points = Points("accuracy", options.output, config.model_dump(mode="json"))
    test_task = larger_test(config, options.test_data) if options.test_data else None
    networks: list[dict[str, Any]] = []
    for seed in options.seeds:
        own = config.model_copy(update={"seed": seed})
        networks += Seed(own, options.runs, points, test_task).networks(options.budgets)
    entries = summarise(networks, options.budgets)
    columns = (
        "budget",
        "method",
        "seeds",
        "test accuracy %",
        "to dense",
        "measured share of dense",
        "draws",
        "seconds",
    )
    where = f"{config.data}, {config.epochs:g} epochs"
    title = f"Test accuracy at equal measured latency, {where}; mean ± spread over seeds"
    common.show(
        {"networks": networks, "summary": entries},
        [Table(title, columns, list(map(row_of, entries)))],
        options.json,
    )


if __name__ == "__main__":
    common.run(main)

"""Two-in-one against search-then-prune and prune-only, at equal sparsities and equal measured latency.

For every seed: the dense network, which teaches all the others where the recipe has a teacher, and every
method at every sparsity through the library's own pipelines, all for the same number of steps. A method
without retraining spends the steps of the finetuning on the search; search-then-prune is then masked after
its last step, and nothing recovers it. Methods with a budget keep the same one, as measured; prune-only keeps
all widths, so its latency is that of the dense network. In the end all networks of a seed are timed side by
side. Channels that leave after the last pruning take their zeros along: the share of zeros is stated as is.

The cost of training is the MACs of one image's forward pass summed over the steps, and seconds; the dense
network and its passes as a teacher, the same for all, are not in it.

python -m benchmarks.pipelines --seeds 0,1,2 --sparsities 0.5,0.8,0.9 --output results/pipelines.jsonl
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, grouped, mean_and_range, mean_and_spread, percent
from benchmarks.searches import Searches, side_by_side, training_macs
from hwtickets.config import SearchConfig
from hwtickets.errors import unknown
from hwtickets.pipelines import PIPELINES

#: The last pruning is at two thirds of the search, as in the paper: what is left has the rest to recover.
_UNTRAINED = {"recipe": "none", "finetune_share": 0.0, "prune_to": 0.65}
#: Keys of a search by method.
METHODS: dict[str, dict[str, Any]] = {
    "two-in-one": {"pipeline": "two-in-one"},
    "no reactivation": {"pipeline": "two-in-one", "reactivation": "none"},
    "no retraining": {"pipeline": "two-in-one", **_UNTRAINED},
    "rewind": {"pipeline": "two-in-one", "recipe": "rewind"},
    "scratch": {"pipeline": "two-in-one", "recipe": "scratch"},
    "search-then-prune": {"pipeline": "search-then-prune"},
    "search-then-prune, no retraining": {"pipeline": "search-then-prune", **_UNTRAINED},
    "prune-only": {"pipeline": "prune-only"},
    "prune-only, no retraining": {"pipeline": "prune-only", **_UNTRAINED},
    "shuffled mask": {"pipeline": "shuffled-mask"},
    "random ticket": {"pipeline": "random-ticket"},
    "random": {"pipeline": "random"},
    "uniform": {"pipeline": "uniform"},
}
#: The paper's question; the others are asked for by name.
DEFAULT_METHODS = (
    "two-in-one",
    "no reactivation",
    "no retraining",
    "search-then-prune",
    "search-then-prune, no retraining",
    "prune-only",
    "prune-only, no retraining",
)


class Seed:
    """Everything of one seed.

    Args:
        config: What all searches have in common, its seed set.
        runs: Gets a run folder a search.
        points: Finished points.
    """

    def __init__(self, config: SearchConfig, runs: Path, points: Points) -> None:
        self._config, self._points = config, points
        self._folder = runs / f"seed-{config.seed}"
        self._searches = Searches(config, self._folder, "pipelines")

    def networks(self, methods: list[str], sparsities: list[float], latency: str) -> list[dict[str, Any]]:
        """One entry a network: method, sparsity, scores, latency and what its training cost."""
        asked = [(method, sparsity) for sparsity in sparsities for method in methods]
        found = [{"method": "dense", "asked": 0.0, **self._once("dense", 0.0, "", self._searches.dense)}]
        for method, sparsity in asked:
            search = partial(self._search, method, sparsity, latency)
            found.append(
                {"method": method, "asked": sparsity, **self._once(method, sparsity, latency, search)}
            )
        known = [network for network in found if "bundle" in network]
        names = [f"{network['method']} {network['asked']:g}" for network in known]
        bundles = {name: Path(network["bundle"]) for name, network in zip(names, known, strict=True)}
        measure = partial(side_by_side, bundles, self._config.device)
        shares = self._points.once(
            {"seed": self._config.seed, "side by side": names, "latency": latency}, measure
        )
        return [
            {"seed": self._config.seed, **network, "measured": shares[name]}
            for name, network in zip(names, known, strict=True)
        ]

    def _once(self, method: str, sparsity: float, latency: str, measure: Any) -> dict[str, Any]:
        key = {"seed": self._config.seed, "method": method, "sparsity": sparsity, "latency": latency}
        return self._points.once(key, measure)

    def _search(self, method: str, sparsity: float, latency: str) -> dict[str, Any]:
        """One ticket; empty where there is none, see `Searches.search`."""
        updates = METHODS[method]
        budgets = {"latency": latency} if PIPELINES[updates["pipeline"]].budgeted else {}
        name = f"{method.replace(', ', '-').replace(' ', '-')}-{sparsity:g}"
        found = self._searches.search(name, budgets, **updates, price="latency", sparsity=sparsity)
        return {**found["latency"], **training_macs(self._folder / name)} if found else {}


def summarise(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each sparsity and method: lists over the seeds, in order."""
    dense = {network["seed"]: network["test"] for network in networks if network["method"] == "dense"}
    return [
        {
            "asked": asked,
            "method": method,
            "test": [one["test"] for one in own],
            "difference": [one["test"] - dense[one["seed"]] for one in own],
            "sparsity": [one.get("sparsity", 0.0) for one in own],
            "share": [one["measured"]["median"] for one in own],
            "kept": all(one.get("kept", True) for one in own),
            "training_macs": [one.get("search_macs", 0.0) + one.get("recipe_macs", 0.0) for one in own],
            "seconds": [one["seconds"] for one in own],
        }
        for (asked, method), own in grouped(networks, "asked", "method").items()
    ]


def row_of(entry: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    dense = entry["method"] == "dense"
    return [
        "" if dense else percent(entry["asked"], 0),
        entry["method"] + ("" if entry["kept"] else " (above budget)"),
        str(len(entry["test"])),
        mean_and_spread(entry["test"]),
        "" if dense else mean_and_spread(entry["difference"]),
        percent(statistics.fmean(entry["sparsity"])),
        mean_and_range(entry["share"]),
        "" if dense else f"{statistics.fmean(entry['training_macs']) / 1e9:.3g}",
        f"{statistics.fmean(entry['seconds']):.0f}",
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark.

    Raises:
        UsageError: A method is unknown.
    """
    parser = common.search_parser(__doc__, "pipelines")
    parser.add_argument(
        "--sparsities", type=common.texts, default=["0.5", "0.8", "0.9"], help="default: 0.5,0.8,0.9"
    )
    parser.add_argument("--latency", default="40%", metavar="BUDGET", help="default: 40%%")
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help=f"one of: {'; '.join(METHODS)}; repeat it for more (default: the first three and all with"
        " search-then-prune or prune-only)",
    )
    options = parser.parse_args()
    for method in options.method or ():
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    return options


def main() -> None:
    """Searches by every method and prints the comparison."""
    options = arguments()
    config = common.search_config(options.config, epochs=options.epochs)
    points = Points("pipelines", options.output, config.model_dump(mode="json"))
    methods, sparsities = options.method or list(DEFAULT_METHODS), list(map(float, options.sparsities))
    networks: list[dict[str, Any]] = []
    for seed in options.seeds:
        own = Seed(config.model_copy(update={"seed": seed}), options.runs, points)
        networks += own.networks(methods, sparsities, options.latency)
    entries = summarise(networks)
    columns = (
        "asked",
        "method",
        "seeds",
        f"test {config.task} %",
        "to dense",
        "zeros",
        "measured share of dense",
        "training GMACs x steps",
        "seconds",
    )
    title = f"Test score at {options.latency} latency, {config.data}, {config.epochs:g} epochs; mean ± spread"
    common.show(
        {"networks": networks, "summary": entries},
        [Table(title, columns, list(map(row_of, entries)))],
        options.json,
    )


if __name__ == "__main__":
    common.run(main)

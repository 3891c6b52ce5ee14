"""Searches that differ in a few keys, side by side over seeds: what ablations are made of."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, grouped, mean_and_range, mean_and_spread
from benchmarks.searches import Searches, side_by_side
from hwtickets.config import SearchConfig

#: Keys of a search by variant.
Variants = Mapping[str, Mapping[str, Any]]


class Seed:
    """Everything of one seed.

    Args:
        config: What all searches have in common, its seed set.
        runs: Gets a run folder a search.
        points: Finished points.
        command: The benchmark's name.
    """

    def __init__(self, config: SearchConfig, runs: Path, points: Points, command: str) -> None:
        self._config, self._points = config, points
        self._searches = Searches(config, runs / f"seed-{config.seed}", command)

    def networks(self, variants: Variants, metric: str, budget: str) -> list[dict[str, Any]]:
        """One entry a variant, the dense network first, with scores and the measured share of its latency."""
        found = [{"variant": "dense", **self._once("dense", "", self._searches.dense)}]
        for name, updates in variants.items():
            search = partial(self._search, name, updates, metric, budget)
            found.append({"variant": name, **self._once(name, budget, search)})
        known = [network for network in found if "bundle" in network]
        bundles = {network["variant"]: Path(network["bundle"]) for network in known}
        timed = partial(side_by_side, bundles, self._config.device)
        shares = self._once(f"side by side: {', '.join(bundles)}", budget, timed)
        return [
            {"seed": self._config.seed, **network, "measured": shares[network["variant"]]}
            for network in known
        ]

    def _once(self, variant: str, budget: str, measure: Any) -> dict[str, Any]:
        return self._points.once({"seed": self._config.seed, "variant": variant, "budget": budget}, measure)

    def _search(self, name: str, updates: Mapping[str, Any], metric: str, budget: str) -> dict[str, Any]:
        """One ticket; empty where the budget is infeasible."""
        folder = "".join(letter if letter.isalnum() else "-" for letter in f"{name}-{budget}")
        found = self._searches.search(folder, {metric: budget}, **updates)
        return next(iter(found.values()), {})


def compare(
    options: argparse.Namespace, command: str, variants: Variants, metric: str, budget: str, title: str
) -> None:
    """Searches by every variant and prints the comparison.

    Args:
        options: Those of `common.search_parser`.
        command: The benchmark's name.
        variants: What is compared.
        metric: Metric of the budget.
        budget: The budget that all keep.
        title: Of the table.
    """
    config = common.search_config(options.config, epochs=options.epochs)
    points = Points(command, options.output, config.model_dump(mode="json"))
    networks = [
        network
        for seed in options.seeds
        for network in Seed(config.model_copy(update={"seed": seed}), options.runs, points, command).networks(
            variants, metric, budget
        )
    ]
    entries = summarise(networks)
    columns = ("variant", "seeds", "test score %", "to dense", "MACs", "measured share of dense", "seconds")
    heading = f"{title}, {config.data}, {config.epochs:g} epochs; mean ± spread over seeds"
    table = Table(heading, columns, [row_of(entry) for entry in entries])
    common.show({"networks": networks, "summary": entries}, [table], options.json)


def summarise(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each variant: lists over the seeds, in order."""
    dense = {network["seed"]: network["test"] for network in networks if network["variant"] == "dense"}
    return [
        {
            "variant": name,
            "test": [one["test"] for one in own],
            "difference": [one["test"] - dense[one["seed"]] for one in own],
            "macs": [one["macs"] for one in own if "macs" in one],
            "share": [one["measured"]["median"] for one in own],
            "kept": all(one.get("kept", True) for one in own),
            "seconds": [one["seconds"] for one in own],
        }
        for (name,), own in grouped(networks, "variant").items()
    ]


def row_of(entry: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        entry["variant"] + ("" if entry["kept"] else " (above budget)"),
        str(len(entry["test"])),
        mean_and_spread(entry["test"]),
        "" if entry["variant"] == "dense" else mean_and_spread(entry["difference"]),
        f"{statistics.fmean(entry['macs']) / 1e6:.2f} M" if entry["macs"] else "",
        mean_and_range(entry["share"]),
        f"{statistics.fmean(entry['seconds']):.0f}",
    ]

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.pipelines import DEFAULT_METHODS, METHODS, row_of, summarise
from hwtickets.config import SearchConfig
from hwtickets.pipelines import PIPELINES
from hwtickets.search.masking import prune_events


@pytest.mark.parametrize("method", list(METHODS))
def test_methods_differ_in_keys_that_a_search_has(method: str) -> None:
    keys = METHODS[method]
    budgets = {"latency": "40%"} if PIPELINES[keys["pipeline"]].budgeted else {}
    config = SearchConfig.model_validate({"budgets": budgets, "sparsity": 0.8, **keys})
    if config.recipe == "none" and PIPELINES[config.pipeline].masks == "searching":
        assert max(prune_events(config, 100)) == 65, "a third of the steps is left to recover"


def test_methods_are_told_apart_by_sparsity_and_compared_to_their_own_dense_network() -> None:
    assert set(DEFAULT_METHODS) < set(METHODS)
    networks = [_network("dense", 0.0, seed, 80.0 + seed) for seed in (0, 1)] + [
        _network("two-in-one", asked, seed, test + seed)
        for asked, test in ((0.5, 78.0), (0.9, 70.0))
        for seed in (0, 1)
    ]
    networks[-1]["kept"] = False
    dense, half, most = map(row_of, summarise(networks))
    assert dense == ["", "dense", "2", "80.50 ± 0.71", "", "0.0 %", "40.0 % (40.0 % to 40.0 %)", "", "9"]
    assert half[:5] == ["50 %", "two-in-one", "2", "78.50 ± 0.71", "-2.00 ± 0.00"]
    assert half[5:8] == ["50.0 %", "40.0 % (40.0 % to 40.0 %)", "3"]
    assert most[:2] == ["90 %", "two-in-one (above budget)"]


def _network(method: str, asked: float, seed: int, test: float) -> dict[str, Any]:
    own = {} if method == "dense" else {"sparsity": asked, "search_macs": 1e9, "recipe_macs": 2e9}
    facts = {"method": method, "asked": asked, "seed": seed, "test": test, "seconds": 9.0}
    return {**facts, **own, "measured": {"median": 0.4}}

from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.tables.measure import Journal
from hwtickets.tables.steadiness import steadiness


def _put(journal: Journal, index: int, range_ms: float, discarded: int, *clocks: dict[str, int]) -> None:
    journal.put(
        "network",
        index,
        median_ms=2.0,
        p10_ms=2.0 - range_ms / 2,
        p90_ms=2.0 + range_ms / 2,
        discarded_runs=discarded,
        clocks_mhz=list(clocks),
    )


def test_the_networks_of_all_processes_count(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    journal = Journal(path, {"seed": 0})
    _put(journal, 0, 0.2, 5)
    journal.put("profile", 0, times={})
    later = Journal(path, {"seed": 0})
    _put(later, 1, 0.4, 10)
    _put(later, 2, 1.0, 0)
    assert steadiness(later) == {"discarded_runs": 15, "p10_p90_share": pytest.approx(0.2)}


def test_clocks_are_those_at_the_beginning_and_at_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.partial.jsonl", {})
    for index, gpu in enumerate((300, 500, 700)):
        _put(journal, index, 0.1, 0, {"gpu": gpu}, {"gpu": gpu + 1})
    assert steadiness(journal)["clocks_mhz"] == {"before": {"gpu": 300}, "after": {"gpu": 701}}

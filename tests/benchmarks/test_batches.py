from __future__ import annotations

from benchmarks.batches import spreads
from tests.benchmarks.tiny_architecture import TINY


def test_every_way_compares_the_same_batches() -> None:
    found = spreads(TINY, rounds=2)
    assert list(found) == ["medians", "batches", "turns"]
    assert all(0 < spread < 1 for spread in found.values())

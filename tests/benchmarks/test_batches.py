from __future__ import annotations

from benchmarks.architectures import ZOO
from benchmarks.batches import spreads


def test_every_way_compares_the_same_batches() -> None:
    (unet3d,) = (architecture for architecture in ZOO if architecture.name == "unet3d")
    found = spreads(unet3d, rounds=2)
    assert list(found) == ["medians", "batches", "turns"]
    assert all(0 < spread < 1 for spread in found.values())

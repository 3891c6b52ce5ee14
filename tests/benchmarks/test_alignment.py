from __future__ import annotations

import pytest
import torch

from benchmarks.alignment import CONTROL, PUBLISHED, compare, nearest, rounded_up, variants
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    sizes = {"stages": [[1, [1], [8]]], "head_channels": [8], "last_channels": 16, "kernel_sizes": [3, 5]}
    with torch.device("meta"):
        return SearchSpace(build_supernet("hrnas-tiny", (1, 16, 16), 4, sizes), "hrnas-tiny")


def test_widths_are_rounded_up_or_to_the_nearest_multiple() -> None:
    assert [rounded_up(width, 8) for width in (0, 1, 8, 9)] == [0, 8, 8, 16]
    assert [nearest(width, 8) for width in (0, 3, 4, 11, 12, 20)] == [0, 0, 8, 8, 16, 24]


def test_no_variant_is_wider_than_the_supernet(space: SearchSpace) -> None:
    most = space.dense()
    published = {
        unit: max(1, width - 1) if index % 3 else 3 for index, (unit, width) in enumerate(most.items())
    }
    found = variants(space, published)
    assert list(found) == [PUBLISHED, CONTROL, "up x8", "to nearest x8", "up x16", "to nearest x16"]
    for name, widths in found.items():
        assert all(width <= most[unit] for unit, width in widths.items())
        if "8" in name:
            assert all(width % 8 == 0 or width == most[unit] for unit, width in widths.items())
    assert 0 in found["to nearest x8"].values() and 0 not in found["up x8"].values()


def test_every_variant_is_timed_beside_the_published_one(space: SearchSpace) -> None:
    published = {unit: width - 3 for unit, width in space.dense().items()}
    result = compare(space, variants(space, published), runs=5)
    assert result[PUBLISHED]["speedup"]["median"] == 1
    assert result[PUBLISHED]["macs"] == result[CONTROL]["macs"] < result["up x8"]["macs"]
    assert result[PUBLISHED]["branches"] == len(published)
    assert all(point["p50_ms"] > 0 and point["convolutions"] > 0 for point in result.values())

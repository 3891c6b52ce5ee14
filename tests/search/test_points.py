from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.errors import HwticketsError
from hwtickets.search.points import DrawPoint, smallest_point_above


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three points of 30, 20 and 10 channels, a millisecond each on the device of the search."""
    for index, channels in enumerate((30, 20, 10), start=1):
        widths, costs = {"a": channels}, {"latency": float(channels)}
        DrawPoint(index, 10 * index, {}, {}, {}, widths, costs).save(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("limit_ms", "channels"), [(9.0, 10), (10.0, 10), (15.0, 20), (29.0, 30)])
def test_the_smallest_point_that_is_still_too_large_is_taken(
    folder: Path, limit_ms: float, channels: int
) -> None:
    assert smallest_point_above(folder, {"latency": limit_ms}).widths == {"a": channels}


def test_on_another_device_the_points_cost_what_they_cost_there(folder: Path) -> None:
    def costs_of(widths: dict[str, int]) -> dict[str, float]:
        return {"latency": 0.1 * widths["a"]}

    assert smallest_point_above(folder, {"latency": 1.5}, costs_of).widths == {"a": 20}
    assert smallest_point_above(folder, {"latency": 1.5}).widths == {"a": 10}


def test_a_budget_above_what_the_whole_supernet_was_predicted_at_is_drawn_from_that(folder: Path) -> None:
    assert smallest_point_above(folder, {"latency": 35.0}).widths == {"a": 30}


def test_several_limits_must_all_leave_something_to_draw(folder: Path) -> None:
    def costs_of(widths: dict[str, int]) -> dict[str, float]:
        return {"latency": float(widths["a"]), "macs": 100.0 * widths["a"]}

    assert smallest_point_above(folder, {"latency": 5.0, "macs": 1500.0}, costs_of).widths == {"a": 20}
    # One limit is wider than the whole supernet, the other is not.
    assert smallest_point_above(folder, {"latency": 5.0, "macs": 9000.0}, costs_of).widths == {"a": 30}


def test_a_run_without_points_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="finish it with"):
        smallest_point_above(tmp_path, {"latency": 1.0})

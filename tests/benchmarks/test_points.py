from __future__ import annotations

import json
from typing import Any

import pytest

from tests.benchmarks.commands import printed

CONFIG = "supernet: {name: mobile, sizes: {stages: [[16, 1, 1]], expand_ratio: 2, kernel_sizes: [3, 5]}}\n"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("points")
    (folder / "tiny.yaml").write_text(CONFIG + "latency: 60%\nthreads: 1\n")
    asked = ("--config", str(folder / "tiny.yaml"), "--inputs", "1x12x12", "--networks", "24", "--json")
    done = printed("points", *asked)
    return dict(json.loads(done.out)["inputs"]["1x12x12"])


def test_every_design_predicts_the_same_networks(result: dict[str, Any]) -> None:
    designs = result["designs"]
    assert list(designs)[:4] == ["full grid", "fixed", "random, as many", "adaptive"]
    as_good = designs["adaptive"]["median_error"] <= designs["full grid"]["median_error"]
    assert len(designs) == 4 + as_good
    for enough in list(designs.values())[4:]:
        assert enough["measurements"] <= designs["adaptive"]["measurements"]
        assert enough["median_error"] <= designs["full grid"]["median_error"]
    assert designs["fixed"]["measurements"] == 12 + 2 + 24
    assert designs["adaptive"]["measurements"] == designs["random, as many"]["measurements"]
    assert designs["adaptive"]["measurements"] <= designs["fixed"]["measurements"]
    for design in designs.values():
        assert design["minutes"] > 0
        assert 0 <= design["median_error"] <= design["p90_error"]
        assert -1 <= design["kendall_tau"] <= 1


def test_what_comes_on_top_of_every_design_is_counted(result: dict[str, Any]) -> None:
    assert result["calibration_and_check"]["measurements"] == 60
    assert result["calibration_and_check"]["minutes"] > 0


def test_the_grid_counts_the_operators_of_the_space(result: dict[str, Any]) -> None:
    # Branches of n widths up to 32 channels, and no branch: 2n sums. Expand 2n, depthwise n and 2n, concat
    # 2n - 1, project 2n; outside the block 4, one of which the block has as well. Aligned to 16, n is 2.
    assert result["designs"]["full grid"]["measurements"] in (9 * 2 + 2, 9 * 4 + 2)
    assert result["units"] == 2


def test_networks_are_priced_at_once(result: dict[str, Any]) -> None:
    assert result["pricing"]["networks"] == 100_000
    assert result["pricing"]["networks_s"] > 0

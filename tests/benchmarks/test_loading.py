from __future__ import annotations

import json

from tests.benchmarks.commands import printed


def test_loading_reports_a_rate_of_every_source() -> None:
    asked = ("--batches", "1", "--batch-size", "4", "--json")
    done = printed("loading", *asked, HWTICKETS_DATA=None)
    points = json.loads(done.out)["points"]
    assert {name: point["input"] for name, point in points.items()} == {
        "fashion-mnist-small": [1, 28, 28],
        "photographs": [3, 224, 224],
    }
    assert all(point[how] > 0 for point in points.values() for how in ("alone", "ahead"))

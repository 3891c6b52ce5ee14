from __future__ import annotations

import numpy as np

from benchmarks.denormals import compared, run
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model


def test_a_network_without_such_numbers_gives_the_same_both_ways() -> None:
    builder = GraphBuilder(3, 8, 8)
    x = builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
    builder.linear("head", "classifier", builder.pool("head", "pool", x), 4)
    model = skeleton_model(builder.graph)
    found = compared(model, rounds=1)
    assert list(found["ms"]) == ["as they are", "as zero"] and min(found["ms"].values()) > 0
    latency_ms, outputs = run(model, "as zero")
    assert found["largest_difference"] == 0 and np.abs(outputs).max() > 0 and latency_ms > 0

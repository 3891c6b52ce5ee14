from __future__ import annotations

import pytest

from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model


@pytest.fixture(scope="session")
def model() -> bytes:
    """Two convolutions and a classifier over 8x8 images."""
    builder = GraphBuilder(3, 8, 8)
    x = builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
    x = builder.conv("body", "depthwise", x, 16, 3, groups=16)
    builder.linear("head", "classifier", builder.pool("head", "pool", x), 4)
    return skeleton_model(builder.graph)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hwtickets.space.operators import GraphBuilder, OperatorGraph
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.supernets.base import PLAIN

Plain = Callable[..., tuple[Supernet, dict[str, int], OperatorGraph]]


@pytest.fixture(scope="session")
def plain() -> Plain:
    """Builds a supernet without weights; gives its full widths and the operators that it asks for."""

    def build(name: str, shape: tuple[int, int, int], classes: int, **sizes: Any) -> Any:
        head = sizes.pop("head", "classification")
        with torch.device("meta"):
            model = build_supernet(name, shape, classes, sizes, head)
        blocks = dict(model.searching_blocks())
        widths = {
            f"{name}.{unit}": block.get_submodule(norm).num_features
            for name, block in blocks.items()
            for unit, norm in block.importance_factors().items()
        }
        builder = GraphBuilder(*shape)
        model.describe(builder, widths, dict.fromkeys(blocks, PLAIN))
        return model, widths, builder.graph

    return build


@pytest.fixture(scope="session")
def small_sizes() -> dict[str, Any]:
    """An HR-NAS network of two branches whose blocks have two kernels."""
    return {
        "stem_channels": [8, 8],
        "stem_strides": [2, 2],
        "stages": [[1, [1], [8]], [2, [1, 1], [8, 12]]],
        "head_channels": [8, 16],
        "last_channels": 16,
        "expand_ratio": 2,
        "kernel_sizes": [3, 5],
    }

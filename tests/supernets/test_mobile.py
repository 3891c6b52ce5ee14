from __future__ import annotations

from typing import Any

import pytest
import torch

from hwtickets.errors import UsageError
from hwtickets.space.operators import GraphBuilder
from hwtickets.supernets import build_supernet


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [((1, 28, 28), 5), ((3, 32, 32), 5), ((3, 65, 65), 11), ((3, 224, 224), 11)],
)
@torch.no_grad()
def test_inputs_from_small_grey_to_large_colour(shape: tuple[int, int, int], blocks: int) -> None:
    model = build_supernet("mobile", shape, 7, {}).eval()
    assert model(torch.zeros(1, *shape)).shape == (1, 7)
    assert len(list(model.searching_blocks())) == blocks


@torch.no_grad()
def test_the_sizes_are_parameters() -> None:
    sizes = {"stem_channels": 8, "stem_stride": 1, "stages": [[12, 2, 2]], "head_channels": 20}
    model = build_supernet("mobile", (3, 16, 16), 5, {**sizes, "expand_ratio": 3, "kernel_sizes": [5]})
    blocks = dict(model.searching_blocks())
    assert list(blocks) == ["blocks.0", "blocks.1"]
    assert [block.branches["k5"].expand.out_channels for block in blocks.values()] == [24, 36]
    assert model.stem(torch.zeros(1, 3, 16, 16)).shape == (1, 8, 16, 16)
    assert blocks["blocks.0"](torch.zeros(1, 8, 16, 16)).shape == (1, 12, 8, 8)
    builder = GraphBuilder(3, 16, 16)
    widths = {"blocks.0.k5": 24, "blocks.1.k5": 0}
    model.describe(builder, widths, dict.fromkeys(blocks, "split"))
    assert builder.graph.operators[-2].spec.c_in == 20
    assert builder.graph.output.channels == 5


def test_dropout_is_before_the_classifier() -> None:
    torch.manual_seed(0)
    model = build_supernet("mobile", (1, 12, 12), 3, {"stages": [[16, 1, 1]], "dropout": 0.5})
    x = torch.randn(2, 1, 12, 12)
    model.train()
    features: list[torch.Tensor] = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    model(x), model(x)
    assert not torch.equal(features[0] == 0, features[1] == 0)


@pytest.mark.parametrize(
    ("name", "sizes", "reason"),
    [
        ("mobil", {}, "unknown supernet 'mobil'; did you mean 'mobile'"),
        ("mobile", {"expand": 2}, "did you mean 'expand_ratio'"),
        ("mobile", {"stages": [[16, 1]]}, "triples"),
        ("mobile", {"stages": [[16, 0, 1]]}, "of positive numbers"),
        ("mobile", {"stages": 3}, "do not fit together"),
        ("mobile", {"stages": [["a", 1, 1]]}, "do not fit together"),
        ("mobile", {"kernel_sizes": [4]}, "odd numbers"),
        ("mobile", {"kernel_sizes": []}, "odd numbers"),
        ("mobile", {"kernel_sizes": 3}, "do not fit together"),
        ("mobile", {"stem_channels": -8}, "stem_channels"),
        ("mobile", {"stem_channels": 0}, "stem_channels"),
        ("mobile", {"stem_stride": 0}, "stem_stride"),
        ("mobile", {"head_channels": -1}, "head_channels"),
        ("mobile", {"expand_ratio": 0}, "expand_ratio"),
        ("mobile", {"expand_ratio": "wide"}, "expand_ratio"),
        ("mobile", {"expand_ratio": 1.5}, "expand_ratio"),
        ("mobile", {"dropout": 2}, "dropout"),
    ],
)
def test_wrong_sizes_are_one_line(name: str, sizes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_supernet(name, (1, 28, 28), 10, sizes)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)

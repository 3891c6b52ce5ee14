"""What every pattern must hold, whatever the layers and the scores."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.sparsity.granularity import without
from hwtickets.sparsity.mask import magnitudes
from hwtickets.sparsity.patterns import Block, NOfM, build_granularity
from hwtickets.sparsity.selection import Scope
from hwtickets.supernets import Supernet

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
SCOPES = st.sampled_from(["global", "layer"])
#: (c_out, c_in, kernel, groups); depthwise and odd ones among them.
LAYERS = st.lists(
    st.sampled_from(
        [
            (8, 8, 1, 1),
            (16, 4, 1, 1),
            (4, 12, 3, 1),
            (8, 8, 3, 8),
            (6, 10, 1, 1),
            (8, 16, 1, 2),
            (16, 3, 3, 1),
        ]
    ),
    min_size=1,
    max_size=4,
)


def _network(layers: list[tuple[int, int, int, int]], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(*(nn.Conv2d(i, o, k, groups=g) for o, i, k, g in [*layers, (8, 16, 1, 1)]))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(torch.rand_like(parameter) > 0.2)  # exact zeros are equal scores
    return network


def _share(masks: dict[str, Tensor]) -> float:
    return sum(int((~mask).sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


@QUICK
@given(layers=LAYERS, seed=st.integers(0, 99), n_of_m=st.sampled_from([(2, 4), (1, 4), (1, 2)]), scope=SCOPES)
def test_no_group_has_more_than_n_weights(
    layers: list[tuple[int, int, int, int]], seed: int, n_of_m: tuple[int, int], scope: Scope
) -> None:
    network, pattern = _network(layers, seed), NOfM(*n_of_m)
    assert pattern.share is not None
    scores = magnitudes(network)
    masks = pattern.masks(network, scores, pattern.share, scope, 0.1)
    for name, mask in masks.items():
        # Counted one group after the other, as the hardware reads them: (K, C, R, S), four along C.
        for output, start in ((k, c) for k in range(len(mask)) for c in range(0, mask.shape[1], pattern.m)):
            group = mask[output, start : start + pattern.m]
            assert bool((group.sum(0) == pattern.n).all()), name
            score = scores[name][output, start : start + pattern.m]
            dropped = score.masked_fill(group, -1).amax(0)
            assert bool((score.masked_fill(~group, 1e9).amin(0) >= dropped).all()), "the largest stay"
    assert _share(masks) == pytest.approx(pattern.share)
    assert set(masks) | set(pattern.excluded(network)) == set(scores)


@QUICK
@given(
    layers=LAYERS,
    seed=st.integers(0, 99),
    sides=st.sampled_from([(4, 4), (1, 16), (2, 1), (8, 8)]),
    sparsity=st.floats(0, 0.95),
    floor=st.floats(0, 0.5),
    scope=SCOPES,
)
def test_blocks_are_whole_and_their_share_is_reached(
    layers: list[tuple[int, int, int, int]],
    seed: int,
    sides: tuple[int, int],
    sparsity: float,
    floor: float,
    scope: Scope,
) -> None:
    network, (rows, columns) = _network(layers, seed), sides
    pattern = Block(rows, columns)
    masks = pattern.masks(network, magnitudes(network), sparsity, scope, floor)
    blocks = {}
    for name, mask in masks.items():
        assert mask.shape == network.get_parameter(name).shape and mask.shape[2:] == (1, 1)
        tiles = mask[:, :, 0, 0].unfold(0, rows, rows).unfold(1, columns, columns).flatten(2)
        assert bool((tiles.all(2) == tiles.any(2)).all()), "a block stays or goes as a whole"
        blocks[name] = tiles.all(2)
        assert int(blocks[name].sum()) >= max(1, round(floor * blocks[name].numel()))
    if scope == "global":
        total = sum(kept.numel() for kept in blocks.values())
        least = sum(max(1, round(floor * kept.numel())) for kept in blocks.values())
        removed = sum(int((~kept).sum()) for kept in blocks.values())
        assert removed == min(int(sparsity * total), total - least)


@pytest.mark.parametrize("name", ["unstructured", "2:4", "1:4", "block-4x4", "block-1x8"])
def test_what_was_removed_stays_removed_while_the_share_rises(
    tiny_model: Callable[..., Supernet], name: str
) -> None:
    model, pattern = tiny_model(), build_granularity(name)
    first = pattern.masks(model, magnitudes(model), pattern.share or 0.3)
    scores = {name: torch.rand_like(score) - 2 for name, score in magnitudes(model).items()}
    second = pattern.masks(model, without(scores, first), pattern.share or 0.6)
    assert all(not (second[name] & ~first[name]).any() for name in first)
    assert _share(second) == pytest.approx(pattern.share or 0.6, abs=0.01)


@pytest.mark.parametrize("name", ["2:4", "block-4x4"])
def test_masks_that_a_cut_tore_apart_are_in_the_pattern_again(
    tiny_model: Callable[..., Supernet], name: str
) -> None:
    torch.manual_seed(0)
    pattern = build_granularity(name)
    before, after = nn.Sequential(nn.Conv2d(32, 16, 1)), nn.Sequential(nn.Conv2d(16, 16, 1))
    masks = pattern.masks(before, magnitudes(before), 0.5)
    kept = torch.randperm(32)[:16].sort().values
    torn = {"0.weight": masks["0.weight"][:, kept]}
    with torch.no_grad():
        after[0].weight.copy_(before[0].weight[:, kept] * torn["0.weight"])
    mended = pattern.repaired(after, torn)["0.weight"]
    in_pattern = (
        mended.view(16, 4, 4).sum(2) == 2
        if name == "2:4"
        else mended.view(4, 4, 4, 4).float().mean((1, 3)).unsqueeze(0) % 1 == 0
    )
    assert bool(in_pattern.all()) and not torch.equal(mended, torn["0.weight"])
    share = float((~torn["0.weight"]).float().mean())
    assert float((~mended).float().mean()) == pytest.approx(0.5 if name == "2:4" else share, abs=1 / 16)
    size = after[0].weight.detach().abs()
    assert float(size[mended].sum()) > 0.7 * float(size.sum()), "what weighs most stays"


def test_a_layer_too_narrow_for_the_pattern_is_left_dense() -> None:
    network = nn.Sequential(nn.Conv2d(6, 4, 1))
    assert build_granularity("2:4").repaired(network, {"0.weight": torch.ones(4, 6, 1, 1).bool()}) == {}


def test_without_masks_there_is_nothing_to_mend(tiny_model: Callable[..., Supernet]) -> None:
    assert build_granularity("2:4").repaired(tiny_model(), {}) == {}


def test_layers_that_stay_dense_say_why(tiny_model: Callable[..., Supernet]) -> None:
    model = tiny_model()
    two_of_four = build_granularity("2:4").excluded(model)
    assert two_of_four["stem.0.weight"] == "input channels a filter: 1, not a multiple of 4"
    assert "depthwise" in two_of_four["blocks.0.branches.k3.depthwise.weight"]
    assert "blocks.0.branches.k3.project.weight" not in two_of_four
    blocks = build_granularity("block-4x16").excluded(model)
    assert blocks["stem.0.weight"] == "not a 1x1 convolution"
    assert blocks["blocks.0.residual.weight"] == "8 groups"
    assert blocks["blocks.0.branches.k3.expand.weight"] == "16 x 8 channels, not whole 4x16"
    assert not build_granularity("unstructured").excluded(model)
    assert len(build_granularity("channel").excluded(model)) == len(magnitudes(model))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2:5x", "unknown mask pattern '2:5x'.*2:4"),
        ("4:4", "below the second"),
        ("0:4", "at least 1"),
        ("block-0x4", "at least 1"),
        ("unstructred", "did you mean 'unstructured'"),
    ],
)
def test_names_that_make_no_pattern_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_granularity(name)


@pytest.mark.parametrize("name", ["unstructured", "2:4", "1:16", "block-4x4", "block-1x16", "channel"])
def test_a_pattern_is_called_as_it_is_written(name: str) -> None:
    assert build_granularity(name).name == name


@pytest.mark.parametrize(
    ("name", "sparsity", "floor", "message"),
    [
        ("2:4", 0.9, 0.0, "removes 0.5 of the weights, not 0.9; set sparsity to 0.5"),
        ("2:4", 0.5, 0.6, "less than layer_floor 0.6"),
        ("channel", 0.5, 0.0, "removed by the draw"),
        ("block-3x3", 0.5, 0.0, r"fits no convolution here, e.g. stem.0.weight: not a 1x1"),
    ],
)
def test_what_a_pattern_cannot_do_is_one_line(
    tiny_model: Callable[..., Supernet], name: str, sparsity: float, floor: float, message: str
) -> None:
    model = tiny_model()
    with pytest.raises(UsageError, match=message) as failure:
        build_granularity(name).masks(model, magnitudes(model), sparsity, "global", floor)
    assert "\n" not in str(failure.value)


def test_a_network_without_convolutions_over_images_is_told_so() -> None:
    model = nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU())
    with pytest.raises(UsageError, match=r"convolutions over images \(nn.Conv2d\), and the network has none"):
        build_granularity("unstructured").masks(model, {}, 0.5, "global", 0.0)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hwtickets.errors import UsageError
from hwtickets.space.operators import OperatorGraph
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Supernet, build_supernet

Plain = Callable[..., tuple[Supernet, dict[str, int], OperatorGraph]]

#: Input, classes, sizes; G MACs, blocks, branches, importance factors, M weights, M weights and norms. The
#: published count of norms has 0.09-0.10 M more: a spare norm for each branch that nothing ever reads.
PUBLISHED = {
    "ImageNet": ((3, 224, 224), 1000, {}, 2.423, 67, 201, 47_952, 13.04, 13.34 - 2 * 0.047952),
    "Cityscapes": ((3, 512, 1024), 19, {"head": "dense"}, 61.8, 61, 183, 44_928, 9.92, 10.20 - 2 * 0.044928),
    "ADE20K": (
        (3, 512, 512),
        150,
        {"head": "dense", "last_channels": 180},
        *(36.1, 61, 183, 44_928, 10.24, 10.52 - 2 * 0.044928),
    ),
    "COCO": ((3, 256, 192), 17, {"head": "dense"}, 5.80, 61, 183, 44_928, 9.92, 10.20 - 2 * 0.044928),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sizes(plain: Plain, name: str) -> None:
    shape, classes, sizes, gmacs, blocks, branches, factors, weights, whole = PUBLISHED[name]
    model, widths, graph = plain("hrnas", shape, classes, **sizes)
    assert graph.macs / 1e9 == pytest.approx(gmacs, rel=1e-3)
    assert len(list(model.searching_blocks())) == blocks
    assert (len(widths), sum(widths.values())) == (branches, factors)
    norms = sum(p.numel() for name, p in model.named_parameters() if "bn" in name or "norm" in name)
    total = sum(parameter.numel() for parameter in model.parameters())
    other_norms = 2 * (24 + 24) + (2 * 1600 if not sizes else 0)
    assert (total - norms - other_norms) / 1e6 == pytest.approx(weights, abs=0.005)
    assert total / 1e6 == pytest.approx(whole, abs=0.01)


def test_the_trunk_has_the_published_blocks_in_every_stage(plain: Plain) -> None:
    model, widths, _ = plain("hrnas", (3, 224, 224), 1000)
    names = [name for name, _ in model.searching_blocks()]
    for stage, (fusing, parallel) in enumerate([(1, 1), (2, 4), (5, 7), (8, 11), (10, 11)]):
        assert sum(name.startswith(f"trunk.{stage}.fuse.") for name in names) == fusing
        assert sum(name.startswith(f"trunk.{stage}.parallel.") for name in names) == parallel
    assert sum(name.startswith("head.") for name in names) == 7
    assert widths["trunk.3.parallel.2.0.k7"] == 4 * 72


@pytest.mark.parametrize(
    ("name", "shape", "sizes"),
    [
        ("hrnas", (3, 96, 64), {}),
        ("hrnas", (3, 45, 61), {"head": "dense"}),
        ("hrnas-tiny", (1, 28, 28), {}),
        ("hrnas-tiny", (3, 180, 240), {"head": "dense"}),
    ],
)
def test_multiply_accumulates_are_those_of_the_module(
    plain: Plain, name: str, shape: tuple[int, int, int], sizes: dict[str, Any]
) -> None:
    model, _, graph = plain(name, shape, 7, **sizes)
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        model.eval()(torch.zeros(1, *shape))
    assert graph.macs == counter.get_total_flops() / 2


@pytest.mark.parametrize(
    ("shape", "head", "expected"),
    [
        ((1, 28, 28), "classification", (5,)),
        ((3, 32, 32), "classification", (5,)),
        ((3, 64, 64), "classification", (5,)),
        ((3, 180, 240), "dense", (5, 45, 60)),
        ((3, 96, 96), "dense", (5, 24, 24)),
        ((3, 37, 55), "dense", (5, 10, 14)),
    ],
)
@torch.no_grad()
def test_tiny_takes_small_large_and_odd_inputs(
    plain: Plain, shape: tuple[int, int, int], head: str, expected: tuple[int, ...]
) -> None:
    _, _, graph = plain("hrnas-tiny", shape, 5, head=head)
    model = build_supernet("hrnas-tiny", shape, 5, {}, head).eval()
    outputs = model(torch.zeros(1, *shape))[0]
    assert outputs.shape == expected
    described = graph.output
    assert (described.channels, described.height, described.width)[: len(expected)] == expected


def test_sizes_rebuild_the_network_and_scale_all_channels(plain: Plain) -> None:
    model, widths, graph = plain("hrnas", (3, 64, 64), 4, width_mult=0.5, round_nearest=4)
    assert [module.out_channels for module in model.stem if isinstance(module, torch.nn.Conv2d)] == [12, 12]
    assert widths["trunk.2.parallel.1.0.k3"] == 4 * 20, "36 halved is 18, half-way to 20"
    again, same, graph_again = plain("hrnas", (3, 64, 64), 4, **model.sizes)
    assert (again.sizes, same, graph_again.macs) == (model.sizes, widths, graph.macs)


@torch.no_grad()
def test_norms_and_first_weights_follow_the_settings() -> None:
    torch.manual_seed(0)
    shape, sizes = (3, 32, 32), {"norm_momentum": 0.03, "norm_epsilon": 1e-4}
    model = build_supernet("hrnas-tiny", shape, 4, sizes)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.03, 1e-4)}
    branch = model.get_submodule("trunk.2.parallel.2.0").branches["k5"]
    assert float(branch.depthwise.weight.std()) == pytest.approx((2 / 25) ** 0.5, rel=0.1)
    assert float(branch.project.weight.std()) == pytest.approx((2 / 48) ** 0.5, rel=0.1)
    small = build_supernet("hrnas-tiny", shape, 4, {"init": "small"}, "dense")
    assert float(small.get_submodule("head.transform.branches.k3.project").weight.std()) < 2e-3
    assert float(small.get_submodule("head.classifier").bias.abs().max()) == 0


def test_units_of_the_paper_are_found_without_computing(plain: Plain) -> None:
    model, widths, _ = plain("hrnas", (3, 224, 224), 1000)
    space = SearchSpace(model, "hrnas")
    assert {name: unit.width for name, unit in space.units.items()} == widths
    for name, unit in space.units.items():
        block, _, key = name.rpartition(".")
        assert unit.branch == f"{block}.branches.{key}"
        assert {member.module for member in unit.members} == {
            f"{unit.branch}.{part}"
            for part in ("expand", "expand_bn", "depthwise", "depthwise_bn", "project")
        }


def test_empty_networks_of_the_paper_keep_only_what_is_fixed(plain: Plain) -> None:
    model, widths, graph = plain("hrnas", (3, 64, 64), 10)
    space = SearchSpace(model, "hrnas")
    empty: OperatorGraph = space.graph(space.empty())
    inside = {operator.spec.kernel for operator in empty if operator.block in space.blocks}
    assert inside == {1}, "only residual convolutions are left of the blocks"
    fixed = [operator.name for operator in space.fixed_operators()]
    dense = [operator.name for operator in space.graph(widths) if operator.block not in space.blocks]
    assert fixed == dense and len(fixed) == len(set(fixed))
    assert empty.macs < 0.1 * graph.macs


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"stages": [[2, [1], [8, 16]]]}, "a stage is [branches, [blocks of each], [channels of each]]"),
        ({"stages": [[1, [1]]]}, "a stage is"),
        ({"stages": [[1, 1, 8]]}, "a stage is"),
        ({"stages": [[1, [0], [8]]]}, "of positive numbers"),
        ({"stages": []}, "at least one stage"),
        ({"stages": 3}, "do not fit together"),
        ({"kernel_sizes": [4]}, "odd numbers"),
        ({"head_channels": [8]}, "head_channels are 3 positive numbers"),
        ({"stem_channels": [8, 0]}, "stem_channels are 2 positive numbers"),
        ({"stem_strides": [2]}, "stem_strides are 2 positive numbers"),
        ({"stem_strides": [2, 1], "head": "dense"}, "stem_strides of 4 in all"),
        ({"expand_ratio": 0}, "expand_ratio is a number from 1 on"),
        ({"expand_ratio": 1.5}, "do not fit together"),
        ({"head": "boxes"}, "unknown head of supernet hrnas-tiny 'boxes'"),
        ({"init": "zeros"}, "unknown init of supernet hrnas-tiny 'zeros'"),
        ({"stage": []}, "did you mean 'stages'"),
        (
            {"stages": [[4, [1, 1, 1, 1], [8, 8, 8, 8]]], "head_channels": [8] * 4, "stem_strides": [2, 2]},
            "its lowest branch sees 1/32 of the input's side, which is less than one pixel of 28x28",
        ),
    ],
)
def test_wrong_sizes_are_one_line(sizes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_supernet("hrnas-tiny", (1, 28, 28), 10, sizes)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)

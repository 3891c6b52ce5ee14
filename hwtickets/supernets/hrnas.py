"""`hrnas` and `hrnas-tiny`: parallel branches of falling resolution, made of MixConv blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from torch import Tensor, nn

from hwtickets.errors import UsageError, unknown
from hwtickets.space.operators import GraphBuilder
from hwtickets.supernets.base import DescribedSupernet, SearchingBlock
from hwtickets.supernets.checks import (
    DENSE_STRIDE,
    SMALL_PIXELS,
    check_kernels,
    check_least,
    check_resolution,
    check_stages,
)
from hwtickets.supernets.fusion import Drawn, FusedStage, MakeBlock
from hwtickets.supernets.heads import ClassificationHead, DenseHead
from hwtickets.supernets.initialisation import METHODS, initialise
from hwtickets.supernets.mixconv import MixConvBlock
from hwtickets.supernets.presets import PAPER, TINY, Preset, Stage, plain_stage, scaled
from hwtickets.supernets.token_block import TokenBlock


class HRNAS(DescribedSupernet):
    """The multi-branch supernet of HR-NAS (CVPR 2021), which SuperTickets (ECCV 2022) searches.

    A stem at a quarter of the resolution, stages of fusion and parallel blocks, a head. Sizes that are None
    are those of the class's preset.

    Args:
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs, of an image or of every place.
        head: "classification" or "dense": (B, classes) or (B, classes, H / 4, W / 4), rounded up.
        stem_channels: Channels after the first and the second 3x3 convolution.
        stem_strides: Strides of these two; 2 and 2 for a dense head.
        stages: [branches, [blocks of each], [channels of each]] of every stage; the first branch has the
            stem's resolution, each further one half of the one before.
        head_channels: Channels that the classification head widens each branch to.
        last_channels: Channels before the classifier.
        expand_ratio: Hidden channels of a branch of a block as a multiple of the block's input channels.
        kernel_sizes: Sides of the depthwise kernels, in pixels, all odd.
        width_mult: Multiplies all channel counts above.
        round_nearest: They are then rounded to multiples of this.
        dropout: Share of features dropped before the classifier of images.
        norm_momentum: Of the batch norms.
        norm_epsilon: Of the batch norms.
        init: First values of the weights, one of `initialisation.METHODS`.
        tokens: Of the lightweight transformer in every block that keeps its shape; 0: there is none. 64 in
            the paper.

    Raises:
        UsageError: A size is not usable, or the input is too small for the branches.
    """

    heads = ("classification", "dense")
    head_modules = ("head",)
    output_modules = ("head.classifier",)
    head_sizes = ("head", "head_channels", "last_channels", "stem_strides")
    title: ClassVar[str] = "hrnas"
    preset: ClassVar[Preset] = PAPER

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        head: str = "classification",
        stem_channels: Sequence[int] | None = None,
        stem_strides: Sequence[int] | None = None,
        stages: Sequence[Stage] | None = None,
        head_channels: Sequence[int] | None = None,
        last_channels: int | None = None,
        expand_ratio: int | None = None,
        kernel_sizes: Sequence[int] | None = None,
        width_mult: float = 1.0,
        round_nearest: int = 2,
        dropout: float | None = None,
        norm_momentum: float | None = None,
        norm_epsilon: float | None = None,
        init: str = "mnas",
        tokens: int = 0,
    ) -> None:
        super().__init__()
        preset = self.preset
        if head not in self.heads:
            raise unknown(f"head of supernet {self.title}", head, self.heads)
        check_stages(self.title, preset.stages if stages is None else stages)
        small = head == "classification" and max(input_shape[1:]) <= SMALL_PIXELS
        self.input_shape, self.classes = input_shape, classes
        self.sizes = {
            "head": head,
            "stem_channels": list(stem_channels or preset.stem_channels),
            "stem_strides": list(stem_strides or (preset.small_strides if small else (2, 2))),
            "stages": [plain_stage(stage) for stage in stages or preset.stages],
            "head_channels": list(head_channels or preset.head_channels),
            "last_channels": preset.last_channels[head] if last_channels is None else last_channels,
            "expand_ratio": preset.expand_ratio if expand_ratio is None else expand_ratio,
            "kernel_sizes": list(preset.kernel_sizes if kernel_sizes is None else kernel_sizes),
            "width_mult": width_mult,
            "round_nearest": round_nearest,
            "dropout": preset.dropout if dropout is None else dropout,
            "norm_momentum": preset.norm_momentum if norm_momentum is None else norm_momentum,
            "norm_epsilon": preset.norm_epsilon if norm_epsilon is None else norm_epsilon,
            "init": init,
            "tokens": tokens,
        }
        self._check()
        self._build()
        initialise(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, classes), or (B, classes, H / 4, W / 4) with a dense head."""
        xs = [self.stem(x)]
        for stage in self.trunk:
            xs = stage(xs)
        return cast(Tensor, self.head(xs))

    def describe(self, builder: GraphBuilder, widths: Mapping[str, int], forms: Mapping[str, str]) -> None:
        """Writes the operators of the deployed network; see `DescribedSupernet.describe`."""
        drawn, x = Drawn(builder, widths, forms), builder.graph.input
        convolutions = [module for module in self.stem if isinstance(module, nn.Conv2d)]
        for index, conv in enumerate(convolutions):
            x = builder.conv(
                "stem", f"conv{index}", x, conv.out_channels, 3, conv.stride[0], activation="relu"
            )
        xs = [x]
        for index, stage in enumerate(self.trunk):
            xs = cast(FusedStage, stage).describe(f"trunk.{index}", xs, drawn)
        self.head.describe("head", xs, drawn)

    def _check(self) -> None:
        name, sizes = self.title, self.sizes
        check_kernels(name, sizes["kernel_sizes"])
        check_least(
            name, 1, **{key: sizes[key] for key in ("last_channels", "expand_ratio", "round_nearest")}
        )
        check_least(name, 0, tokens=sizes["tokens"])
        branches = [stage[0] for stage in sizes["stages"]]
        for key, count in (("stem_channels", 2), ("stem_strides", 2), ("head_channels", branches[-1])):
            if key == "head_channels" and sizes["head"] == "dense":
                continue
            if len(sizes[key]) != count or min(sizes[key]) < 1:
                raise UsageError(f"supernet {name}: {key} are {count} positive numbers, got {sizes[key]}")
        strides = sizes["stem_strides"]
        if sizes["head"] == "dense" and strides[0] * strides[1] != DENSE_STRIDE:
            raise UsageError(f"supernet {name}: a dense head needs stem_strides of {DENSE_STRIDE} in all")
        if sizes["init"] not in METHODS:
            raise unknown(f"init of supernet {name}", sizes["init"], METHODS)
        check_resolution(name, (self.input_shape[1], self.input_shape[2]), strides, max(branches))

    def _build(self) -> None:
        sizes, c_in = self.sizes, self.input_shape[0]
        steps: list[nn.Module] = []
        for c_out, stride in zip(self._widths(sizes["stem_channels"]), sizes["stem_strides"], strict=True):
            steps += [nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
            c_in = c_out
        self.stem = nn.Sequential(*steps)
        channels, stages = [c_in], []
        for _, blocks, asked in sizes["stages"]:
            wanted = self._widths(asked)
            stages.append(FusedStage(channels, blocks, wanted, self._block))
            channels = wanted
        self.trunk = nn.ModuleList(stages)
        self.head = self._head(channels, self._block)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.eps = sizes["norm_momentum"], sizes["norm_epsilon"]

    def _head(self, channels: list[int], make: MakeBlock) -> ClassificationHead | DenseHead:
        sizes = self.sizes
        (last,) = self._widths([sizes["last_channels"]])
        if sizes["head"] == "dense":
            return DenseHead(channels, last, self.classes, make)
        head_channels = self._widths(sizes["head_channels"])
        return ClassificationHead(channels, head_channels, last, self.classes, sizes["dropout"], make)

    def _block(self, c_in: int, c_out: int, stride: int) -> SearchingBlock:
        hidden = {kernel: self.sizes["expand_ratio"] * c_in for kernel in self.sizes["kernel_sizes"]}
        if self.sizes["tokens"] and stride == 1 and c_in == c_out:
            return TokenBlock(c_in, hidden, self.sizes["tokens"])
        return MixConvBlock(c_in, c_out, stride, hidden)

    def _widths(self, channels: Sequence[int]) -> list[int]:
        sizes = self.sizes
        return [scaled(count, sizes["width_mult"], sizes["round_nearest"]) for count in channels]


class HRNASTiny(HRNAS):
    """`HRNAS` small enough to be trained on a CPU: three branches, fewer and narrower blocks."""

    title = "hrnas-tiny"
    preset = TINY

"""Networks of torchvision as lists of operators, written down by hand; their parameters are torchvision's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor

from hwtickets.space.operators import OperatorSpec


class Net:
    """Operators in order, as TensorRT fuses them: batch norm and ReLU into convolutions.

    Args:
        pixels: Side of the square input image, which has three channels.

    Attributes:
        specs: The operators so far.
        channels: Of the last result.
        pixels: Side of the last result.
        params: Weights, biases, and two values a channel of a batch norm: what torchvision counts.
    """

    def __init__(self, pixels: int = 224) -> None:
        self.specs: list[OperatorSpec] = []
        self.channels, self.pixels, self.params = 3, pixels, 0

    def add(self, kind: str, c_out: int, kernel: int = 1, stride: int = 1, pixels: int | None = None) -> None:
        """An operator without weights; `pixels` is the side of its result where that is not the usual one."""
        self._append(OperatorSpec(kind, c_out, c_out, kernel, stride, 1, self.pixels, self.pixels), pixels)

    def conv(
        self,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
        norm: bool = True,
        residual: bool = False,
        pixels: int | None = None,
    ) -> None:
        """A convolution; with a batch norm unless it has a bias."""
        act = "relu" if relu else "none"
        spec = OperatorSpec(
            "conv", self.channels, c_out, kernel, stride, groups, self.pixels, self.pixels, act, residual
        )
        self.params += spec.params + (c_out if norm else 0)
        self._append(spec, pixels)

    def classifier(self, *widths: int) -> None:
        """Linear layers over what is left, flattened."""
        features = self.channels * self.pixels**2
        for c_out in widths:
            spec = OperatorSpec("linear", features, c_out)
            self.params += spec.params
            self.specs.append(spec)
            features = c_out

    def pool(self) -> None:
        """Global average."""
        self._append(
            OperatorSpec("pool", self.channels, self.channels, height=self.pixels, width=self.pixels), 1
        )

    def branch(self, write: Callable[[], None]) -> None:
        """Operators beside the main path: their result does not become the last one."""
        channels, pixels = self.channels, self.pixels
        write()
        self.channels, self.pixels = channels, pixels

    def _append(self, spec: OperatorSpec, pixels: int | None) -> None:
        self.specs.append(spec)
        self.channels = spec.c_out
        self.pixels = spec.out_size[0] if pixels is None else pixels


def resnet(counts: Sequence[int], bottleneck: bool) -> Net:
    """ResNet-18 to -101 (version 1.5: the stride is in the 3x3 convolution)."""
    net = Net()
    net.conv(64, 7, 2)
    net.add("maxpool", 64, 3, 2)
    for stage, count in enumerate(counts):
        width = 64 * 2**stage
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            c_out = width * (4 if bottleneck else 1)
            if index == 0 and (stage > 0 or bottleneck):
                net.branch(lambda c=c_out, s=stride: net.conv(c, 1, s, relu=False))  # type: ignore[misc]
            if bottleneck:
                net.conv(width)
                net.conv(width, 3, stride)
                net.conv(c_out, residual=True)
            else:
                net.conv(width, 3, stride)
                net.conv(width, 3, residual=True)
    net.pool()
    net.classifier(1000)
    return net


def vgg(counts: Sequence[int], norm: bool) -> Net:
    """VGG-11 to -19."""
    net = Net()
    for width, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        for _ in range(count):
            net.conv(width, 3, norm=norm)
            # These convolutions have a bias beside their batch norm.
            net.params += width if norm else 0
        net.add("maxpool", width, 2, 2)
    net.classifier(4096, 4096, 1000)
    return net


def squeezenet() -> Net:
    """SqueezeNet 1.1."""
    net = Net()
    net.conv(64, 3, 2, norm=False, pixels=111)
    net.add("maxpool", 64, 3, 2, pixels=55)
    for index, (squeeze, expand) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
    ):
        if index in (2, 4):
            net.add("maxpool", net.channels, 3, 2, pixels=27 if index == 2 else 13)
        net.conv(squeeze, norm=False)
        net.branch(lambda width=expand: net.conv(width, norm=False))  # type: ignore[misc]
        net.conv(expand, 3, norm=False)
        net.add("concat", 2 * expand)
    net.conv(1000, norm=False)
    net.pool()
    return net


def densenet(counts: Sequence[int], growth: int, first: int) -> Net:
    """DenseNet-121 to -201: batch norm and ReLU come before convolutions and cannot be folded."""
    net = Net()
    net.conv(first, 7, 2)
    net.add("maxpool", first, 3, 2)
    for stage, count in enumerate(counts):
        for _ in range(count):
            channels = net.channels
            _norm(net)
            net.conv(4 * growth)
            net.conv(growth, 3, relu=False, norm=False)
            net.params -= growth
            net.add("concat", channels + growth)
        _norm(net)
        if stage < len(counts) - 1:
            net.conv(net.channels // 2, relu=False, norm=False)
            net.params -= net.channels
            net.add("avgpool", net.channels, 2, 2)
    net.pool()
    net.classifier(1000)
    return net


def _norm(net: Net) -> None:
    net.params += 2 * net.channels
    net.add("relu", net.channels)


def inverted_residuals(
    stem: int, separable: int, stages: Sequence[tuple[int, int, int, int, int]], head: int
) -> Net:
    """MobileNetV2 and MnasNet: (expansion, channels, blocks, stride, kernel) a stage."""
    net = Net()
    net.conv(stem, 3, 2)
    net.conv(stem, 3, 1, stem)
    net.conv(separable, relu=False)
    for expansion, c_out, count, stride, kernel in stages:
        for index in range(count):
            hidden, step = net.channels * expansion, stride if index == 0 else 1
            net.conv(hidden)
            net.conv(hidden, kernel, step, hidden)
            net.conv(c_out, relu=False, residual=index > 0)
    net.conv(head)
    net.pool()
    net.classifier(1000)
    return net


def shufflenet(widths: Sequence[int]) -> Net:
    """ShuffleNetV2: the first block of a stage has two branches, the others work on half the channels."""
    net = Net()
    net.conv(24, 3, 2)
    net.add("maxpool", 24, 3, 2)
    for width, count in zip(widths, (4, 8, 4), strict=False):
        half = width // 2
        net.branch(lambda c=half: _left(net, c))  # type: ignore[misc]
        for index in range(count):
            if index > 0:
                net.add("copy", width)
                net.channels = half
            net.conv(half)
            net.conv(half, 3, 2 if index == 0 else 1, half, relu=False)
            net.conv(half)
            net.add("concat", width)
            net.add("copy", width)
    net.conv(widths[-1])
    net.pool()
    net.classifier(1000)
    return net


def _left(net: Net, c_out: int) -> None:
    net.conv(net.channels, 3, 2, net.channels, relu=False)
    net.conv(c_out)


def _mnasnet(alpha: float) -> Net:
    def wide(channels: int) -> int:
        # A multiple of 8: the nearest, unless that takes more than a tenth away.
        eighths = channels * alpha / 8
        return 8 * max(1, floor(eighths + 0.5), ceil(0.9 * eighths))

    stages = [
        (3, 24, 3, 2, 3),
        (3, 40, 3, 2, 5),
        (6, 80, 3, 2, 5),
        (6, 96, 2, 1, 3),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ]
    scaled = [(expansion, wide(channels), *rest) for expansion, channels, *rest in stages]
    return inverted_residuals(wide(32), wide(16), scaled, 1280)  # type: ignore[arg-type]


_V2 = [
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
]
_VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
#: How each network is made, and how many parameters torchvision's has.
NETWORKS: dict[str, tuple[Callable[[], Net], int]] = {
    "squeezenet1_1": (squeezenet, 1_235_496),
    "resnet18": (lambda: resnet((2, 2, 2, 2), False), 11_689_512),
    "resnet50": (lambda: resnet((3, 4, 6, 3), True), 25_557_032),
    "resnet101": (lambda: resnet((3, 4, 23, 3), True), 44_549_160),
    "densenet121": (lambda: densenet((6, 12, 24, 16), 32, 64), 7_978_856),
    "densenet161": (lambda: densenet((6, 12, 36, 24), 48, 96), 28_681_000),
    "densenet169": (lambda: densenet((6, 12, 32, 32), 32, 64), 14_149_480),
    "densenet201": (lambda: densenet((6, 12, 48, 32), 32, 64), 20_013_928),
    "vgg16": (lambda: vgg(_VGG[16], False), 138_357_544),
    "vgg19": (lambda: vgg(_VGG[19], False), 143_667_240),
    "vgg11_bn": (lambda: vgg(_VGG[11], True), 132_868_840),
    "vgg13_bn": (lambda: vgg(_VGG[13], True), 133_053_736),
    "vgg16_bn": (lambda: vgg(_VGG[16], True), 138_365_992),
    "vgg19_bn": (lambda: vgg(_VGG[19], True), 143_678_248),
    "mobilenet_v2": (lambda: inverted_residuals(32, 16, _V2, 1280), 3_504_872),
    "shufflenet_v2_x0_5": (lambda: shufflenet((48, 96, 192, 1024)), 1_366_792),
    "shufflenet_v2_x1_0": (lambda: shufflenet((116, 232, 464, 1024)), 2_278_604),
    "mnasnet0_75": (lambda: _mnasnet(0.75), 3_170_208),
    "mnasnet1_0": (lambda: _mnasnet(1.0), 4_383_312),
    "mnasnet1_3": (lambda: _mnasnet(1.3), 6_282_256),
}


def operators(name: str) -> list[OperatorSpec]:
    """The operators of a network.

    Raises:
        ValueError: It is not as torchvision has it.
    """
    make, params = NETWORKS[name]
    net = make()
    if net.params != params:
        raise ValueError(f"{name} has {net.params} parameters instead of {params}")
    return net.specs

"""The architectures of the zoo: one small network of every kind that people bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from benchmarks.small_networks import (
    DeepLab,
    FeaturePyramid,
    TemporalConvolutions,
    TextReader,
    UNet,
    VolumeUNet,
)
from benchmarks.torchvision_here import declare_operators
from hwtickets.errors import unknown

CLASSES = 10


@dataclass(frozen=True)
class Architecture:
    """A network of the zoo.

    Attributes:
        name: What the table calls it.
        family: What it stands for.
        input_shape: Of one input, without batch; of images channels, height and width (pixels).
        build: Makes the network, its weights drawn at random.
        needs: Packages that it comes from.
    """

    name: str
    family: str
    input_shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    needs: tuple[str, ...] = field(default=())

    @property
    def missing(self) -> str:
        """Why it cannot be built here; empty if it can."""
        absent = [name for name in self.needs if find_spec(name) is None]
        return f"{' and '.join(absent)} not installed" if absent else ""


def _timm(name: str, arguments: Mapping[str, Any]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        declare_operators()
        made: nn.Module = import_module("timm").create_model(name, num_classes=CLASSES, **arguments)
        return made

    return build


def _of(module: str, name: str, arguments: Mapping[str, Any]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        declare_operators()
        made: nn.Module = getattr(import_module(module), name)(num_classes=CLASSES, **arguments)
        return made

    return build


def _from_timm(name: str, family: str, side: int, **arguments: Any) -> Architecture:
    return Architecture(name, family, _image(side), _timm(name, arguments), ("timm", "torchvision"))


def _image(side: int) -> tuple[int, int, int]:
    return 3, side, side


_VGG = {"cfg": (32, "M", 64, "M", 128, 128, "M", 128, "M"), "norm_layer": nn.BatchNorm2d, "mlp_ratio": 0.125}
_DENSENET = {"growth_rate": 16, "block_config": (2, 4, 4)}
_SHUFFLENET = {"stages_repeats": [4, 8, 4], "stages_out_channels": [24, 96, 192, 384, 512]}

ZOO: tuple[Architecture, ...] = (
    _from_timm("resnet18", "ResNet", 64),
    _from_timm("resnet26", "ResNet with bottlenecks", 64),
    _from_timm("resnext50_32x4d", "ResNeXt", 64, layers=(1, 1, 1, 1)),
    Architecture("vgg", "VGG", _image(64), _of("timm.models.vgg", "VGG", _VGG), ("timm", "torchvision")),
    Architecture(
        "densenet",
        "DenseNet",
        _image(64),
        _of("timm.models.densenet", "DenseNet", _DENSENET),
        ("timm", "torchvision"),
    ),
    _from_timm("mobilenetv2_050", "MobileNetV2", 96),
    _from_timm("mobilenetv3_small_075", "MobileNetV3", 96),
    _from_timm("efficientnet_b0", "EfficientNet", 64),
    Architecture(
        "shufflenetv2",
        "ShuffleNetV2",
        _image(96),
        _of("torchvision.models.shufflenetv2", "ShuffleNetV2", _SHUFFLENET),
        ("torchvision",),
    ),
    _from_timm("regnetx_002", "RegNetX", 96),
    _from_timm("regnety_002", "RegNetY (squeeze and excite)", 96),
    _from_timm("convnext_atto", "ConvNeXt", 64, depths=(2, 2, 2, 2), dims=(32, 64, 96, 128)),
    _from_timm("inception_v3", "Inception", 96),
    _from_timm("hrnet_w18_small", "HRNet", 64),
    Architecture("unet", "U-Net", _image(64), UNet),
    Architecture("fpn", "feature pyramid", _image(64), FeaturePyramid),
    Architecture("deeplab", "DeepLab", _image(64), DeepLab),
    Architecture("tcn", "temporal convolutions over a signal", (8, 256), TemporalConvolutions),
    Architecture("crnn", "convolutions and an LSTM along a line", (1, 32, 96), TextReader),
    Architecture("unet3d", "U-Net over volumes", (1, 8, 16, 16), VolumeUNet),
    _from_timm(
        "vit_tiny_patch16_224", "ViT", 64, img_size=64, patch_size=8, depth=4, embed_dim=96, num_heads=3
    ),
    _from_timm(
        "swin_tiny_patch4_window7_224",
        "Swin (shifted windows)",
        56,
        img_size=56,
        window_size=7,
        embed_dim=48,
        depths=(2, 2),
        num_heads=(2, 4),
    ),
    _from_timm("ghostnet_100", "GhostNet", 64),
    _from_timm("mobilevit_xxs", "MobileViT (convolutions and attention)", 64),
)


def chosen(names: Sequence[str] | None) -> list[Architecture]:
    """Architectures of the zoo in its order; all of them for no names.

    Raises:
        UsageError: One is not there.
    """
    known = {architecture.name: architecture for architecture in ZOO}
    for name in names or ():
        if name not in known:
            raise unknown("architecture", name, known)
    return [architecture for name, architecture in known.items() if not names or name in names]

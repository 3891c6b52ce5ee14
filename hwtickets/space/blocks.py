"""Blocks: several operators that a latency table times as one."""

from __future__ import annotations

from collections.abc import Callable

from hwtickets.space.spec import OperatorSpec

_TIED = ("transformer",)
#: Squeeze-and-excite reduces the channels by this much (MobileNetV3, arXiv:1905.02244, section 5.3).
_SQUEEZE = 4


def parts(spec: OperatorSpec) -> tuple[OperatorSpec, ...]:
    """The operators that a block runs, in order; (spec,) for everything else."""
    expand = _BLOCKS.get(spec.kind)
    return (spec,) if expand is None else tuple(expand(spec))


def is_block(kind: str) -> bool:
    """Whether operators of this kind have parts."""
    return kind in _BLOCKS


def is_tied(kind: str) -> bool:
    """Whether input and output channels of such a block are one number."""
    return kind in _TIED


def _inverted_residual(spec: OperatorSpec) -> list[OperatorSpec]:
    """Expansion to `hidden` channels (none if 0), depthwise convolution, projection."""
    hidden, act = spec.hidden or spec.c_in, spec.activation
    out_h, out_w = spec.out_size
    steps = []
    if spec.hidden:
        steps.append(OperatorSpec("conv", spec.c_in, hidden, 1, 1, spec.groups, spec.height, spec.width, act))
    steps.append(
        OperatorSpec(
            "conv", hidden, hidden, spec.kernel, spec.stride, hidden, spec.height, spec.width, act, False
        )
    )
    if spec.kind == "mbconv-se":
        steps += _squeeze_excite(hidden, hidden // _SQUEEZE, out_h, out_w)
    steps.append(
        OperatorSpec("conv", hidden, spec.c_out, 1, 1, spec.groups, out_h, out_w, residual=spec.residual)
    )
    return steps


def _squeeze_excite(channels: int, squeezed: int, height: int, width: int) -> list[OperatorSpec]:
    return [
        OperatorSpec("pool", channels, channels, height=height, width=width),
        OperatorSpec("linear", channels, max(1, squeezed), activation="relu"),
        OperatorSpec("linear", max(1, squeezed), channels),
        OperatorSpec("add", channels, channels, height=height, width=width),
    ]


def _two_convolutions(spec: OperatorSpec) -> list[OperatorSpec]:
    """Two 3x3 convolutions; FasterSeg's BasicResidual2x."""
    out_h, out_w = spec.out_size
    return [
        _conv3(spec, spec.c_in, spec.stride, spec.height, spec.width),
        _conv3(spec, spec.c_out, 1, out_h, out_w),
    ]


def _at_half_size(spec: OperatorSpec) -> list[OperatorSpec]:
    """One or two 3x3 convolutions at half the resolution; FasterSeg's BasicResidual_downup."""
    height, width = spec.height // 2, spec.width // 2
    steps = [
        _resize(spec.c_in, spec.height, spec.width, 2),
        _conv3(spec, spec.c_in, 1, height, width),
    ]
    if spec.kind == "downup-2x":
        steps.append(_conv3(spec, spec.c_out, 1, height, width))
    if spec.stride == 1:
        steps.append(_resize(spec.c_out, spec.height, spec.width, 1))
    return steps


def _conv3(spec: OperatorSpec, c_in: int, stride: int, height: int, width: int) -> OperatorSpec:
    return OperatorSpec("conv", c_in, spec.c_out, 3, stride, 1, height, width, "relu", dilation=spec.dilation)


def _resize(channels: int, height: int, width: int, stride: int) -> OperatorSpec:
    return OperatorSpec("resize", channels, channels, 1, stride, height=height, width=width)


def _factorized_reduce(spec: OperatorSpec) -> list[OperatorSpec]:
    """Two strided 1x1 convolutions side by side; FasterSeg's FactorizedReduce."""
    half = OperatorSpec(
        "conv", spec.c_in, spec.c_out // 2, 1, spec.stride, 1, spec.height, spec.width, "relu"
    )
    out_h, out_w = spec.out_size
    return [half, half, OperatorSpec("concat", spec.c_out, spec.c_out, height=out_h, width=out_w)]


def _feature_fusion(spec: OperatorSpec) -> list[OperatorSpec]:
    """A 1x1 convolution and channel attention without reduction; FasterSeg's FeatureFusion."""
    conv = OperatorSpec("conv", spec.c_in, spec.c_out, 1, 1, 1, spec.height, spec.width, "relu")
    return [conv, *_squeeze_excite(spec.c_out, spec.c_out, spec.height, spec.width)]


def _segmentation_head(spec: OperatorSpec) -> list[OperatorSpec]:
    """A 3x3 convolution to `hidden` channels and a 1x1 one to the classes; FasterSeg's BiSeNetHead."""
    hidden = spec.hidden or spec.c_in
    return [
        OperatorSpec("conv", spec.c_in, hidden, 3, 1, 1, spec.height, spec.width, "relu"),
        OperatorSpec("conv", hidden, spec.c_out, 1, 1, 1, spec.height, spec.width),
    ]


def _encoder_and_decoder(spec: OperatorSpec) -> list[OperatorSpec]:
    """Two layers over tokens, the second with learned queries; HR-NAS's lightweight transformer."""
    tokens, size = spec.c_in, spec.height * spec.width
    product = OperatorSpec("matmul", size, size, height=tokens)
    norm = OperatorSpec("layernorm", size, size, height=tokens)
    attention = OperatorSpec("attention", size, size, height=tokens)
    layer = [product, product, product, attention, product, norm, product, product, norm]
    return layer * 2


_BLOCKS: dict[str, Callable[[OperatorSpec], list[OperatorSpec]]] = {
    "mbconv": _inverted_residual,
    "mbconv-se": _inverted_residual,
    "conv-conv": _two_convolutions,
    "downup-1x": _at_half_size,
    "downup-2x": _at_half_size,
    "factorized-reduce": _factorized_reduce,
    "feature-fusion": _feature_fusion,
    "segmentation-head": _segmentation_head,
    "transformer": _encoder_and_decoder,
}

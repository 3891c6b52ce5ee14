"""The latency tables of once-for-all and ProxylessNAS: YAML or JSON, one entry an operator or block.

    expanded_conv-input:64x64x16-output:32x32x24-expand:48-kernel:5-stride:2-idskip:0-se:0-hs:0:
      {mean: 1.5, std: 0.1, count: 50}

Milliseconds; shapes are height, width, channels. In keys with `se` `expand` is the number of channels inside
the block (MobileNetV3), in keys without it a ratio (ProxylessNAS).
"""

from __future__ import annotations

import math
import re

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.importers.blocks import inverted_residual
from hwtickets.tables.importers.collected import Collected, Found
from hwtickets.tables.importers.entries import Entry, read_entries
from hwtickets.tables.importers.sources import Source

_N = r"[1-9]\d{0,5}"
_KEY = re.compile(
    rf"(?P<type>\w+)-input:(?P<h>{_N})x(?P<w>{_N})x(?P<c>{_N})-output:(?P<out>{_N}(?:x{_N}x{_N})?)"
    rf"(?:-expand:(?P<expand>{_N})-kernel:(?P<kernel>{_N})-stride:(?P<stride>[1-9])-idskip:(?P<skip>[01])"
    r"(?:-se:(?P<se>[01])-hs:(?P<hs>[01]))?)?",
    re.ASCII,
)
#: Kernel of the operators whose keys do not say it.
_KERNELS = {"Conv": 3, "Conv_1": 1, "Conv_2": 1}


def recognises(source: Source) -> bool:
    """Whether a source looks like such a table."""
    return b"-input:" in source.data[:4096] and b"-output:" in source.data[:4096]


def collect(source: Source) -> Collected:
    """Reads every operator and block.

    Raises:
        HwticketsError: The file is damaged: an unknown key, a key twice, a number that is none.
    """
    collected = Collected("ms, as they are")
    entries = read_entries(source)
    matches = [_KEY.fullmatch(entry.key) for entry in entries]
    # Tables of MobileNetV3 say of their blocks whether they use hard swish, and all other operators do.
    modern = any(match is not None and match["hs"] is not None for match in matches)
    for entry, match in zip(entries, matches, strict=True):
        if match is None:
            raise source.fault(f"'{entry.key:.100}' is not the key of an operator", entry.line)
        found = _found(source, entry)
        spec = _spec(match.groupdict(), modern)
        if isinstance(spec, str):
            collected.skip(spec)
        else:
            collected.add(source, spec, found, entry.line)
    return collected


def _found(source: Source, entry: Entry) -> Found:
    unknown = set(entry.values) - {"mean", "std", "count"}
    if unknown or "mean" not in entry.values:
        raise source.fault(f"{entry.key} has no 'mean', or more than mean, std and count", entry.line)
    latency_ms = source.milliseconds(entry.values["mean"], entry.key, entry.line)
    spread_ms = source.milliseconds(entry.values.get("std", 0.0), f"the deviation of {entry.key}", entry.line)
    count = entry.values.get("count", 1)
    if latency_ms == 0 or not isinstance(count, int) or count < 1:
        raise source.fault(
            f"{entry.key} was timed {count} times with a mean of {latency_ms:g} ms", entry.line
        )
    return Found(latency_ms, spread_ms / math.sqrt(count), count)


def _spec(parts: dict[str, str | None], modern: bool) -> OperatorSpec | str:
    """The operator of a key, or why there is none."""
    kind = str(parts["type"])
    height, width, c_in = (int(str(parts[name])) for name in "hwc")
    out = [int(size) for size in str(parts["out"]).split("x")]
    c_out = out[-1]
    if kind == "expanded_conv":
        return _block(parts, c_in, height, width, out, modern)
    if kind == "AvgPool2D":
        return OperatorSpec("pool", c_in, c_out, height=height, width=width)
    if kind == "Logits":
        if height * width > 1:
            return "a classifier together with its pooling"
        return OperatorSpec("linear", c_in, c_out)
    if kind not in _KERNELS:
        return f"operators of the type {kind:.40}"
    stride = -(-height // out[0])
    spec = OperatorSpec(
        "conv", c_in, c_out, _KERNELS[kind], stride, 1, height, width, "hswish" if modern else "relu6"
    )
    return spec if spec.out_size == tuple(out[:2]) else "an output that does not fit its input"


def _block(
    parts: dict[str, str | None], c_in: int, height: int, width: int, out: list[int], modern: bool
) -> OperatorSpec | str:
    if parts["expand"] is None or len(out) != 3:
        return "a block without its expansion"
    expand, kernel, stride = (int(str(parts[name])) for name in ("expand", "kernel", "stride"))
    if out[:2] != [-(-height // stride), -(-width // stride)]:
        return "an output that does not fit its input"
    hidden = expand if modern else c_in * expand
    return inverted_residual(
        c_in,
        # Blocks that would expand to as many channels as there are leave the expansion out.
        0 if hidden == c_in else hidden,
        out[2],
        kernel,
        stride,
        height,
        width,
        activation="hswish" if parts["hs"] == "1" else "relu" if modern else "relu6",
        squeeze=parts["se"] == "1",
        residual=parts["skip"] == "1",
    )

"""Named networks in ncnn: their layers as operators, and what they took on boards."""

from __future__ import annotations

from collections import defaultdict
from math import prod
from pathlib import Path

from hwtickets.space.operators import OperatorSpec

from .common import read_csv

#: Networks that are no stacks of convolutions, and those whose layers run in another precision.
_LEFT_OUT = ("vision_transformer",)
_KINDS = {
    "Pooling": "maxpool",
    "BinaryOp": "add",
    "Eltwise": "add",
    "Concat": "concat",
    "Swish": "swish",
    "HardSwish": "swish",
    "HardSigmoid": "swish",
    "Sigmoid": "swish",
    "ReLU": "relu",
    "BatchNorm": "relu",
    "LRN": "swish",
    "Interp": "resize",
}


def networks(data: Path) -> dict[str, list[OperatorSpec]]:
    """Operators of every network, in order."""
    found: dict[str, list[OperatorSpec]] = defaultdict(list)
    for row in read_csv(data / "ncnn" / "ncnn_layers.csv"):
        name = row["network"]
        if not name.endswith("_int8") and name not in _LEFT_OUT:
            found[name].append(_spec(row))
    return dict(found)


def measured(data: Path, device: str, threads: int, gpu: bool) -> dict[str, float]:
    """Fastest of the loops in ms, by network, of one board.

    Args:
        data: Folder of the measurements.
        device: The board's whole name in the source.
        threads: Of the CPU.
        gpu: Whether the Vulkan device computed.
    """
    return {
        row["network"]: float(row["min_ms"])
        for row in read_csv(data / "networks" / "ncnn_networks.csv")
        if row["device"] == device
        and row["num_threads"] == str(threads)
        and (row["gpu_device"] != "-1") == gpu
        and not row["network"].endswith("_int8")
        and row["network"] not in _LEFT_OUT
    }


def _spec(row: dict[str, str]) -> OperatorSpec:
    kind = row["type"]
    shape = [int(size) for size in row["in_shape"].split("x")]
    if kind == "InnerProduct":
        return OperatorSpec("linear", prod(shape), int(row["c_out"]))
    c_in, height, width = (*shape, 1, 1)[:3]
    c_out = int((row["out_shape"] or row["in_shape"]).split("x")[0])
    if "onvolution" in kind:
        groups, stride = int(row["groups"]), int(row["stride"])
        activation = "relu" if row["act_or_mode"] else "none"
        return OperatorSpec("conv", c_in, c_out, int(row["k_h"]), stride, groups, height, width, activation)
    if (kind == "Pooling" and row["k_h"] == "global") or kind == "Reduction":
        return OperatorSpec("pool", c_in, c_in, height=height, width=width)
    if kind == "Pooling":
        return OperatorSpec("maxpool", c_in, c_in, int(row["k_h"]), int(row["stride"]), 1, height, width)
    if kind == "Concat":
        return OperatorSpec("concat", c_out, c_out, height=height, width=width)
    return OperatorSpec(_KINDS.get(kind, "copy"), c_in, c_in, height=height, width=width)

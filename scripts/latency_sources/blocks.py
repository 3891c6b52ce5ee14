"""Blocks timed as one: once-for-all on a phone, FBNet on a Raspberry Pi and a phone, FasterSeg on a GPU."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.table import LatencyTable, Row

from .common import (
    Made,
    Repository,
    merged,
    provenance,
    read_csv,
    with_row_error,
)

_OFA = Repository(
    "mit-han-lab/once-for-all",
    "698a5c1",
    "Apache-2.0 at that commit, MIT today",
    ("once-for-all.Apache-2.0.txt",),
)
_HELP = Repository("HayeonLee/HELP", "45f70eb", "MIT", ("HELP.MIT.txt", "HW-NAS-Bench.MIT.txt"))
_FASTERSEG = Repository("VITA-Group/FasterSeg", "478b026", "MIT", ("FasterSeg.MIT.txt",))
_SEGMENTATION_KINDS = {
    "BasicResidual2x": "conv-conv",
    "BasicResidual_downup_1x": "downup-1x",
    "BasicResidual_downup_2x": "downup-2x",
    "ff": "feature-fusion",
    "head": "segmentation-head",
}


def note10(data: Path) -> Made:
    """Blocks of once-for-all's MobileNetV3 space, TFLite fp32, batch 1."""
    file = data / "op_tables" / "samsung_note10_ofa_mbv3_blocks.csv"
    found: dict[OperatorSpec, list[tuple[float, float, int]]] = defaultdict(list)
    for row in read_csv(file):
        runs = int(row["count"])
        found[_ofa_spec(row)].append((float(row["mean_ms"]), float(row["std_ms"]) / math.sqrt(runs), runs))
    table = _table(
        "galaxy-note10",
        "Samsung Galaxy Note10, CPU threads not stated",
        merged(found),
        provenance(
            "measured",
            "blocks",
            [_OFA.as_dict(file)],
            "mean over the source's runs; an operator that stands in several of its 17 files, one for each"
            " resolution, is one row",
            [
                "the table only names the phone; that it is TFLite, fp32, batch 1 is as the authors describe"
                " it",
                "the sum over a network was never compared with the network",
            ],
        ),
    )
    return Made(table, _OFA.texts)


def fbnet(data: Path, device: str, column: str, processor: str) -> Made:
    """FBNet blocks at the sizes of CIFAR-100, TFLite fp32, batch 1: those that keep their shape."""
    file = data / "op_tables" / "fbnet_blocks_cifar100_recovered.csv"
    entries = read_csv(file)
    shapes = ("hw_in", "c_in", "c_out", "stride")
    absolute = {tuple(row[key] for key in shapes) for row in entries if row["is_identity_skip"] == "1"}
    rows = {
        _fbnet_spec(row): Row(float(row[column]))
        for row in entries
        if row["op"] != "skip" and tuple(row[key] for key in shapes) in absolute
    }
    table = _table(
        device,
        processor,
        dict(sorted(rows.items(), key=lambda item: repr(item[0]))),
        provenance(
            "measured",
            "blocks",
            [_HELP.as_dict(file)],
            "recovered exactly from the sums that the source publishes as latencies of networks",
            [
                "blocks that change the channels or the resolution are left out: of them only the difference"
                " to a 1x1 convolution is known, which itself is not",
                "the stem, the header and the classifier are left out: only their sum with those"
                " convolutions is known",
            ],
        ),
    )
    return Made(table, _HELP.texts)


def fasterseg(data: Path) -> Made:
    """Segmentation blocks on a GTX 1080 Ti, TensorRT 5 fp32, batch 1, scales of 1024x2048 images."""
    file = data / "op_tables" / "gtx1080ti_fasterseg_blocks.csv"
    found: dict[OperatorSpec, list[tuple[float, float, int]]] = defaultdict(list)
    for row in read_csv(file):
        found[_segmentation_spec(row)].append((float(row["latency_ms"]), 0.0, 1))
    table = LatencyTable(
        device="gtx-1080-ti",
        runtime="tensorrt",
        precision="fp32",
        batch=1,
        alignment=8,
        fingerprint={
            "device": "gtx-1080-ti",
            "gpu": "GeForce GTX 1080 Ti",
            "multiprocessors": "28",
            "runtime": "TensorRT 5",
            "precision": "fp32",
        },
        rows=merged(found),
        provenance=provenance(
            "measured",
            "blocks",
            [_FASTERSEG.as_dict(file)],
            "each block measured on its own by the authors of the source; runs are not stated; six"
            " convolutions that are there under two names are one row, spread by their difference",
            [
                "the authors' script falls back to PyTorch where TensorRT cannot take a block; which are not"
                " marked"
            ],
        ),
    )
    return Made(with_row_error(table), _FASTERSEG.texts)


def _table(
    device: str, processor: str, rows: dict[OperatorSpec, Row], origin: dict[str, object]
) -> LatencyTable:
    table = LatencyTable(
        device=device,
        runtime="tflite",
        precision="fp32",
        batch=1,
        alignment=4,
        fingerprint={"device": device, "cpu": processor, "runtime": "TFLite", "precision": "fp32"},
        rows=rows,
        provenance=origin,
    )
    return with_row_error(table)


def _ofa_spec(row: dict[str, str]) -> OperatorSpec:
    c_in, c_out, pixels = int(row["c_in"]), int(row["c_out"]), int(row["hw_in"])
    if row["op"] == "AvgPool2D":
        return OperatorSpec("pool", c_in, c_out, height=pixels, width=pixels)
    if row["op"] == "Logits":
        return OperatorSpec("linear", c_in, c_out)
    if row["op"] != "expanded_conv":
        stride, kernel = (2, 3) if row["op"] == "Conv" else (1, 1)
        return OperatorSpec("conv", c_in, c_out, kernel, stride, 1, pixels, pixels, "hswish")
    hidden = int(row["expand_channels"])
    return OperatorSpec(
        "mbconv-se" if row["se"] == "1" else "mbconv",
        c_in,
        c_out,
        int(row["kernel"]),
        int(row["stride"]),
        1,
        pixels,
        pixels,
        "hswish" if row["hswish"] == "1" else "relu",
        row["idskip"] == "1",
        hidden=0 if hidden == c_in else hidden,
    )


def _fbnet_spec(row: dict[str, str]) -> OperatorSpec:
    c_in, pixels = int(row["c_in"]), int(row["hw_in"])
    return OperatorSpec(
        "mbconv",
        c_in,
        int(row["c_out"]),
        int(row["kernel"]),
        int(row["stride"]),
        int(row["groups"]),
        pixels,
        pixels,
        "relu",
        residual=True,
        hidden=c_in * int(row["expansion"]),
    )


def _segmentation_spec(row: dict[str, str]) -> OperatorSpec:
    height, width = int(row["h"]), int(row["w"])
    stride, dilation = int(row["stride"] or 1), int(row["dilation"] or 1)
    if row["block"] == "ff":
        channels = int(row["key"].rpartition("_C")[2])
        return OperatorSpec("feature-fusion", channels, channels, height=height, width=width)
    c_in, c_out = int(row["c_in"]), int(row["c_out"])
    if row["block"] == "FactorizedReduce" and stride == 2:
        return OperatorSpec(
            "factorized-reduce", c_in, c_out, 1, 2, height=height, width=width, activation="relu"
        )
    if row["block"] in ("FactorizedReduce", "ConvNorm", "BasicResidual1x"):
        kernel = 1 if row["block"] == "FactorizedReduce" or "kernel1" in row["key"] else 3
        return OperatorSpec("conv", c_in, c_out, kernel, stride, 1, height, width, "relu", dilation=dilation)
    kind = _SEGMENTATION_KINDS[row["block"]]
    # FasterSeg's head halves the channels only above 256.
    hidden = (c_in if c_in < 256 else c_in // 2) if kind == "segmentation-head" else 0
    return OperatorSpec(
        kind, c_in, c_out, 3, stride, 1, height, width, "relu", hidden=hidden, dilation=dilation
    )

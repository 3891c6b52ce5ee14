"""Jetsons and Raspberry Pis: layers measured in TensorRT, and profiles fitted to whole networks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.roofline_fit import fit_roofline
from hwtickets.tables.table import Calibration, LatencyTable

from . import nb201, ncnn, nets
from .analytic import Network, analytic_table, predict
from .common import Made, Repository, merged, provenance, read_csv, with_row_error

_NCNN = Repository("Tencent/ncnn", "a4d2ea1", "BSD-3-Clause", ("ncnn.BSD-3-Clause.txt",))
_TORCH2TRT = {
    "jetson-nano": Repository("NVIDIA-AI-IOT/torch2trt", "353a703", "MIT", ("torch2trt.MIT.txt",)),
    "jetson-xavier": Repository("NVIDIA-AI-IOT/torch2trt", "d1e7d4c", "MIT", ("torch2trt.MIT.txt",)),
}
_ONEPROXY = Repository(
    "Ren-Research/OneProxy",
    "e3c9b2c",
    "MIT; the repackaged campaigns: HW-NAS-Bench MIT, Eagle (BRP-NAS) Apache-2.0",
    ("OneProxy.MIT.txt", "HW-NAS-Bench.MIT.txt", "eagle.Apache-2.0.txt"),
)
_ORIN = Repository(
    "fuzzylabs/edge-vision-power-estimation",
    "c57aace",
    "Apache-2.0",
    ("edge-vision-power-estimation.Apache-2.0.txt",),
)
#: Cells of NAS-Bench-201 that a profile is fitted to; the constants no longer change with more.
_CELLS = 60
_METHOD = (
    "a roofline (launch + arithmetic + traffic by group of operators) fitted to the latencies of whole"
    " networks; the error is that on each network when it is left out of the fit"
)


def orin_layers(data: Path) -> Made:
    """MobileNetV2's layers on a Jetson Orin Nano in TensorRT 10.1, fp16."""
    file = data / "op_tables" / "jetson_orin_nano_mobilenetv2_trt_layers.csv"
    whole = data / "networks" / "jetson_orin_nano_mobilenetv2_whole.csv"
    found: dict[OperatorSpec, list[tuple[float, float, int]]] = defaultdict(list)
    for row in read_csv(file):
        spec = _layer(row)
        if spec is not None:
            found[spec].append((float(row["median5_ms"]), 0.0, 5))
    rows = merged(found)
    layers = [spec for spec, entries in found.items() for _ in entries if spec.kind != "relu"]
    total_ms = sum(rows[spec].latency_ms for spec in layers)
    whole_ms = float(read_csv(whole)[0]["median_ms"])
    table = LatencyTable(
        device="jetson-orin-nano",
        runtime="tensorrt",
        precision="fp16",
        batch=1,
        alignment=8,
        fingerprint={
            "device": "jetson-orin-nano",
            "gpu": "Jetson Orin Nano developer kit, as its authors say",
            "multiprocessors": "8",
            "os": "JetPack 6.1",
            "runtime": "TensorRT 10.1, torch_tensorrt 2.4",
            "precision": "fp16",
        },
        rows=rows,
        calibration=Calibration(per_operator_ms=round((whole_ms - total_ms) / len(layers), 5)),
        provenance=provenance(
            "measured",
            "operators",
            [_ORIN.as_dict(file), _ORIN.as_dict(whole)],
            "median of five runs of every layer of one network; a ReLU6 that TensorRT ran as a layer of its"
            " own is a row of its own",
            [
                f"the layers take {total_ms:.2f} ms, the whole network {whole_ms:.2f} ms at the median: the"
                " host is the bottleneck. The calibration lays the difference on every operator alike; it"
                " rests on this one network and says nothing about its own error",
                "the whole network ran with the layer profiler switched on",
                "the classifier took 0.06 ms in five runs and 0.17 ms on average over a long one",
            ],
        ),
    )
    return Made(with_row_error(table), _ORIN.texts)


def _layer(row: dict[str, str]) -> OperatorSpec | None:
    if row["param_type"] not in ("Convolution", "Pooling", "PointWise"):
        return None
    c_in, height, width = (int(size) for size in row["in_dims"].split("x")[1:4])
    if row["param_type"] == "Pooling":
        return OperatorSpec("pool", c_in, c_in, height=height, width=width)
    if row["param_type"] == "PointWise":
        return OperatorSpec("relu", c_in, c_in, height=height, width=width, activation="relu6")
    c_out, groups = int(row["out_maps"]), int(row["groups"])
    if height == 1:
        return OperatorSpec("linear", c_in, c_out)
    kernel, stride = int(row["kernel"].split("x")[0]), int(row["stride"].split("x")[0])
    residual = "aten_ops.add.Tensor" in row["trt_layer_name"]
    return OperatorSpec("conv", c_in, c_out, kernel, stride, groups, height, width, residual=residual)


def ncnn_profile(
    data: Path, device: str, board: str, threads: int, gpu: bool = False, note: str = ""
) -> Made:
    """A profile of one board in ncnn, on its CPU or its Vulkan device."""
    operators = ncnn.networks(data)
    times_ms = ncnn.measured(data, board, threads, gpu)
    networks = [
        Network(name, operators[name], ms, "depthwise" if _separable(operators[name]) else "dense")
        for name, ms in times_ms.items()
    ]
    runtime = "ncnn-vulkan" if gpu else f"ncnn-cpu{threads}"
    file = data / "networks" / "ncnn_networks.csv"
    origin = provenance(
        "calibrated analytic",
        "operators",
        [_NCNN.as_dict(file), _NCNN.as_dict(data / "ncnn" / "ncnn_layers.csv")],
        f"{_METHOD}; the fastest of each network's loops",
        [
            "fp16 is ncnn's default: where the processor cannot, it computes in fp32",
            *([note] if note else []),
        ],
    )
    table = analytic_table(
        device,
        runtime,
        "fp16",
        networks,
        {"board": board, "runtime": "ncnn, benchncnn", "threads": str(threads)},
        origin,
    )
    return Made(table, _NCNN.texts)


def torch2trt_profile(data: Path, device: str, board: str, column: str | None, title: str) -> Made:
    """A profile in TensorRT fp16 by torch2trt: named networks, with cells of NAS-Bench-201 where measured."""
    repository = _TORCH2TRT[board]
    file = data / "networks" / "torch2trt_jetson.csv"
    networks = _named(file, board)
    sources, texts, defects = [repository.as_dict(file)], repository.texts, []
    if not any(_separable(network.specs) for network in networks):
        defects.append(
            "no network with depthwise convolutions was measured: they are priced by what all groups have in"
            f" common. On the AGX Xavier such a guess missed MobileNetV2 and MnasNet by {_guess(file)}"
        )
    if column:
        networks += _cells(data, column)
        sources.append(_ONEPROXY.as_dict(data / "networks" / "nb201_edge.csv"))
        texts = (*texts, *_ONEPROXY.texts)
        defects.append("named networks and cells are of two campaigns; versions of TensorRT are not stated")
    return Made(_trt_table(device, "fp16", networks, title, sources, defects), texts)


def _named(file: Path, board: str) -> list[Network]:
    return [
        Network(
            row["torchvision_model"],
            nets.operators(row["torchvision_model"]),
            float(row["tensorrt_ms"]),
            "named",
        )
        for row in read_csv(file)
        if row["device"] == board
    ]


def _guess(file: Path) -> str:
    """How far networks of depthwise convolutions are missed by a fit that has never seen one."""
    networks = _named(file, "jetson-xavier")
    fit = fit_roofline(
        [network.sample for network in networks if not _separable(network.specs)], 8, offset=True
    )
    chains = [network for network in networks if network.name.startswith(("mobilenet", "mnasnet"))]
    misses = [abs(predict(fit, network.specs) / network.latency_ms - 1) for network in chains]
    return f"{100 * min(misses):.0f} to {100 * max(misses):.0f} %"


def cells_profile(data: Path, device: str, column: str, title: str) -> Made:
    """A profile in TensorRT fp32 by torch2trt, from cells of NAS-Bench-201 alone."""
    defects = [
        "fitted to networks of 3x3 and 1x1 convolutions with 16 to 64 channels on images of 32x32: anything"
        " larger, depthwise convolutions included, is extrapolated and marked so"
    ]
    sources = [_ONEPROXY.as_dict(data / "networks" / "nb201_edge.csv")]
    return Made(_trt_table(device, "fp32", _cells(data, column), title, sources, defects), _ONEPROXY.texts)


def _trt_table(
    device: str,
    precision: str,
    networks: list[Network],
    title: str,
    sources: list[dict[str, str]],
    defects: list[str],
) -> LatencyTable:
    origin = provenance("calibrated analytic", "operators", sources, _METHOD, defects)
    found = {"board": title, "runtime": "TensorRT by torch2trt, versions not stated"}
    return analytic_table(device, "tensorrt", precision, networks, found, origin)


def _cells(data: Path, column: str) -> list[Network]:
    found = nb201.measured(data, column)
    names = list(found)
    chosen = np.random.default_rng(0).permutation(len(names))[:_CELLS]
    return [Network(names[index], *found[names[index]], "cells") for index in np.sort(chosen)]


def _separable(specs: object) -> bool:
    return any(spec.depthwise for spec in specs)  # type: ignore[attr-defined]


def with_checked_cells(made: Made, data: Path, column: str) -> Made:
    """The same with its error on all cells that it was not fitted to."""
    table = made.table
    assert table.roofline is not None
    found = nb201.measured(data, column)
    names = list(found)
    chosen = set(np.random.default_rng(0).permutation(len(names))[:_CELLS].tolist())
    rest = [found[name] for index, name in enumerate(names) if index not in chosen]
    predicted_ms = [table.calibration.offset_ms + table.roofline.price(specs)[0].sum() for specs, _ in rest]
    misses = np.abs(np.array(predicted_ms) / np.array([ms for _, ms in rest]) - 1)
    error = {
        "unseen_cells": len(rest),
        "unseen_cells_median_error": round(float(np.median(misses)), 4),
        "unseen_cells_mean_error": round(float(misses.mean()), 4),
    }
    return replace(made, table=replace(table, error={**table.error, **error}))

"""MobileNetV2 on a Jetson Orin Nano as TensorRT 10.1 gave it: what was recorded, in the files of trtexec."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "data" / "trtexec" / "orin-nano-mobilenetv2-10.1.csv"


def rows() -> list[dict[str, str]]:
    """One for every layer, in order of execution."""
    with _FILE.open(newline="") as file:
        return list(csv.DictReader(file))


def layer_info() -> str:
    """The layers as --exportLayerInfo writes them; the engine computed in fp16."""
    return json.dumps({"Layers": [_layer(row) for row in rows()], "Bindings": ["x", "y"]})


def profile() -> str:
    """The times as --exportProfile writes them, of five runs each."""
    times_ms = {row["trt_layer_name"]: float(row["median5_ms"]) for row in rows()}
    total_ms = sum(times_ms.values())
    entries = [
        {
            "name": name,
            "timeMs": 5 * time_ms,
            "averageMs": time_ms,
            "medianMs": time_ms,
            "percentage": 100 * time_ms / total_ms,
        }
        for name, time_ms in times_ms.items()
    ]
    return json.dumps([{"count": 5}, *entries])


def _layer(row: dict[str, str]) -> dict[str, Any]:
    layer = {
        "Name": row["trt_layer_name"],
        "LayerType": row["layer_type"],
        "Inputs": _tensors(row["in_dims"]),
        "Outputs": _tensors(row["out_dims"]),
    }
    if row["param_type"]:
        layer["ParameterType"] = row["param_type"]
    if row["param_type"] == "Convolution":
        layer |= {"Kernel": _sizes(row["kernel"]), "Stride": _sizes(row["stride"])}
        layer |= {"Groups": int(row["groups"]), "OutMaps": int(row["out_maps"])}
        layer |= {"Activation": row["activation"]}
    return layer


def _tensors(text: str) -> list[dict[str, Any]]:
    return [{"Dimensions": _sizes(sizes), "Format/Datatype": "FP16"} for sizes in text.split("|") if sizes]


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split("x")]

"""What trtexec writes: samples, times of layers, values and its own account, as 8.5, 10 and 11 do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hwtickets.errors import DeviceError
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.tensorrt_forms import refusal_in
from hwtickets.runtimes.tensorrt_layers import by_first_node, engine_layers

_MOST_NOTES = 60
#: A warning, after settings that say that graphs are on.
_NO_CAPTURE = "not permitted under CUDA graph capture mode"
#: What C++ prints where a value overflowed or is none; JSON spells both otherwise.
_NO_NUMBER = re.compile(r"(?<=[\[,] )-?(?:nan|inf)(?=[, ])")
#: What TensorRT and the system print when the board is the cause, and what to do there.
_OF_BOARD = (
    (
        re.compile(r"out ?of ?memory|std::bad_alloc|cudaErrorMemoryAllocation", re.IGNORECASE),
        "close other programs on the board",
    ),
    (
        re.compile(r"No space left|Saving engine to file failed", re.IGNORECASE),
        "free some space on the board",
    ),
    (
        re.compile(r"Cuda failure|CUDA error|CUDA initialization failure|CUDA driver version", re.IGNORECASE),
        "its driver or GPU does not answer: look at dmesg on the board, and restart it",
    ),
    (re.compile(r"Cannot create DLA engine"), "it has no DLA: add the device without --dla"),
)


def sample_times_ms(text: str) -> list[float]:
    """The time of every run on the GPU, from the file of --exportTimes.

    Raises:
        DeviceError: The file has another form, or a time is no positive number.
    """
    return [_positive(entry, "computeMs", "times") for entry in _entries(text, "times")]


def layer_times_ms(text: str) -> dict[str, float]:
    """Mean time of every layer, from the file of --exportProfile, in order of execution.

    Raises:
        DeviceError: The file has another form.
    """
    entries = [entry for entry in _entries(text, "profile") if "name" in entry]
    return {str(entry["name"]): _number(entry, "averageMs", "profile") for entry in entries}


def node_times(profile: str, layer_info: str) -> dict[str, NodeTime]:
    """Times by the first ONNX node of every layer; layers that TensorRT put in keep their own names.

    Args:
        profile: File of --exportProfile.
        layer_info: File of --exportLayerInfo.
    """
    return by_first_node(layer_times_ms(profile), engine_layers(layer_info))


def outputs(text: str) -> dict[str, Array]:
    """The network's outputs by name, float32, from the file of --exportOutput, which has them in any order.

    Raises:
        DeviceError: The file has another form.
    """
    found = {}
    for entry in _entries(_NO_NUMBER.sub(_as_json, text), "output"):
        shape = [int(size) for size in re.findall(r"\d+", str(entry.get("dimensions", "")))]
        values = entry.get("values")
        if not isinstance(values, list) or len(values) != math.prod(shape):
            raise _damaged("output", f"the values do not have the shape {shape}")
        if not all(isinstance(value, (int, float)) for value in values):
            raise _damaged("output", "a value is no number")
        found[str(entry.get("name"))] = np.array(values, dtype=np.float32).reshape(shape)
    return found


def options_in_force(printed: str) -> dict[str, str]:
    """What trtexec says of its own settings, e.g. "CUDA Graph": "Enabled"."""
    block = re.search(r"=== Inference Options ===(.*?)===", printed, re.DOTALL)
    return dict(re.findall(r"\[I\] ([\w -]+): *(.+?) *$", block[1], re.MULTILINE)) if block else {}


def clock(printed: str) -> str:
    """What was timed; names what a network pays for whose kernels were not launched as one graph."""
    settings = options_in_force(printed)
    graph = settings.get("CUDA Graph") != "Disabled" and _NO_CAPTURE not in printed
    return "GPU time (trtexec)" if graph else "GPU time (trtexec, launched without a CUDA graph)"


def summary_ms(printed: str) -> dict[str, float]:
    """The printed "min", "max", "mean" and "median" of the time on the GPU; empty if none is printed."""
    line = re.search(r"GPU Compute Time: (.*)$", printed, re.MULTILINE)
    pairs = re.findall(r"(min|max|mean|median) = ([\d.e+-]+) ms", line[1]) if line else []
    return {name: float(value) for name, value in pairs}


def step_on_board(code: int, printed: str) -> str | None:
    """What to do on the board, where a run of trtexec failed because of it; None where it did not."""
    # First what it says: 8.5 ends by SIGABRT where its GPU does not answer.
    step = next((step for pattern, step in _OF_BOARD if pattern.search(printed)), None)
    if step is None and code < 0:
        return f"signal {-code} ended it: look for a process killed for memory (dmesg on the board)"
    return step


def failure(printed: str) -> str:
    """Why trtexec failed: the operator that it refuses, else its first error, else its last line."""
    refused = refusal_in(printed)
    if refused is not None:
        return refused
    errors = re.findall(r"\[E\] (?:\[TRT\] )?(.*)$", printed, re.MULTILINE)
    lines = [line for line in printed.splitlines() if line.strip()]
    reason: str = next(iter(errors), lines[-1] if lines else "it printed nothing")
    return reason.strip()


def notes(printed: str) -> list[str]:
    """Warnings, and what the builder says of sparse weights."""
    lines = re.findall(r"\[([IW])\] (?:\[TRT\] )?(.*)$", printed, re.MULTILINE)
    return [text.strip() for kind, text in lines if kind == "W" or "(Sparsity)" in text][:_MOST_NOTES]


def placed(printed: str) -> list[str]:
    """The lines that say which layers the accelerator runs and which the GPU; see `Placement`."""
    return re.findall(r"\[(?:Dla|Gpu)Layer\] .+", printed)


def _as_json(found: re.Match[str]) -> str:
    return found[0].replace("-nan", "nan").replace("nan", "NaN").replace("inf", "Infinity")


def _entries(text: str, what: str) -> list[dict[str, Any]]:
    found = _json(text, what)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise _damaged(what, "it is no list of records")
    return found


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(what, str(error)) from error


def _positive(entry: Mapping[str, Any], key: str, what: str) -> float:
    value = _number(entry, key, what)
    if value == 0:
        raise _damaged(what, f"'{key}' is 0")
    return value


def _number(entry: Mapping[str, Any], key: str, what: str) -> float:
    value = entry.get(key)
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise _damaged(what, f"'{key}' is {value!r}, not a number of milliseconds")
    return float(value)


def _damaged(what: str, reason: str) -> DeviceError:
    return DeviceError(f"trtexec wrote a file of {what} in an unknown form ({reason}); which version is it?")

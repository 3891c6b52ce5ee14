"""What trtexec writes: samples, layers, values and its own account, in the forms of 8.5, 10 and 11."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hwtickets.errors import DeviceError
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.profiling import NodeTime


class Layer(NamedTuple):
    """A layer of an engine.

    Attributes:
        kind: What TensorRT calls it, e.g. "Convolution"; "" where it does not tell.
        nodes: Names of the ONNX nodes that it does the work of, the first first; empty for layers that
            TensorRT put in.
    """

    kind: str
    nodes: list[str]


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


def layers(text: str) -> dict[str, Layer]:
    """Every layer by name, from the file of --exportLayerInfo.

    An engine that was built without details has names only.

    Raises:
        DeviceError: The file has another form.
    """
    known = _json(text, "layers")
    found = known.get("Layers") if isinstance(known, dict) else None
    if not isinstance(found, list):
        raise _damaged("layers", "there is no list 'Layers'")
    entries = [{"Name": entry} if isinstance(entry, str) else entry for entry in found]
    if not all(isinstance(entry, dict) and "Name" in entry for entry in entries):
        raise _damaged("layers", "a layer has no name")
    return {
        str(entry["Name"]): Layer(
            str(entry.get("ParameterType", entry.get("LayerType", ""))),
            _onnx_nodes(str(entry.get("Metadata", ""))) or nodes_in_name(str(entry["Name"])),
        )
        for entry in entries
    }


def node_times(profile: str, layer_info: str) -> dict[str, NodeTime]:
    """Times by the first ONNX node of every layer; layers that TensorRT put in keep their own names.

    Args:
        profile: File of --exportProfile.
        layer_info: File of --exportLayerInfo.
    """
    return by_first_node(layer_times_ms(profile), layers(layer_info))


def by_first_node(times_ms: Mapping[str, float], known: Mapping[str, Layer]) -> dict[str, NodeTime]:
    """Times of layers under the names of their first ONNX nodes, in order.

    Args:
        times_ms: By layer.
        known: What is known of layers besides their names; may be empty.
    """
    found: dict[str, NodeTime] = {}
    for name, time_ms in times_ms.items():
        layer = known.get(name, Layer("", nodes_in_name(name)))
        key = layer.nodes[0] if layer.nodes else name
        before = found.get(key, NodeTime(layer.kind, 0.0))
        found[key] = NodeTime(before.op_type, before.mean_ms + time_ms)
    return found


def nodes_in_name(layer: str) -> list[str]:
    """ONNX nodes that a layer's name is made of, e.g. "a + PWN(b) || c"; none for a change of layout."""
    if layer.startswith(("Reformatting CopyNode", "{ForeignNode", "__myl")):
        return []
    parts = (part.strip() for part in re.split(r" \+ | \|\| |, ", re.sub(r"\bPWN\(|\)", "", layer)))
    return [part for part in parts if part]


def outputs(text: str) -> list[Array]:
    """The network's outputs, float32, from the file of --exportOutput.

    Raises:
        DeviceError: The file has another form.
    """
    found = []
    for entry in _entries(text, "output"):
        shape = [int(size) for size in re.findall(r"\d+", str(entry.get("dimensions", "")))]
        values = entry.get("values")
        if not isinstance(values, list) or len(values) != math.prod(shape):
            raise _damaged("output", f"the values do not have the shape {shape}")
        if not all(isinstance(value, (int, float)) for value in values):
            raise _damaged("output", "a value is no number")
        found.append(np.array(values, dtype=np.float32).reshape(shape))
    return found


def options_in_force(printed: str) -> dict[str, str]:
    """What trtexec says of its own settings, e.g. "CUDA Graph": "Enabled"."""
    block = re.search(r"=== Inference Options ===(.*?)===", printed, re.DOTALL)
    return dict(re.findall(r"\[I\] ([\w -]+): *(.+?) *$", block[1], re.MULTILINE)) if block else {}


def summary_ms(printed: str) -> dict[str, float]:
    """The printed "min", "max", "mean" and "median" of the time on the GPU; empty if none is printed."""
    line = re.search(r"GPU Compute Time: (.*)$", printed, re.MULTILINE)
    pairs = re.findall(r"(min|max|mean|median) = ([\d.e+-]+) ms", line[1]) if line else []
    return {name: float(value) for name, value in pairs}


def failure(printed: str) -> str | None:
    """Why trtexec failed, or None if it says that it passed."""
    if "&&&& PASSED" in printed:
        return None
    errors = re.findall(r"\[E\] (?:\[TRT\] )?(.*)$", printed, re.MULTILINE)
    lines = [line for line in printed.splitlines() if line.strip()]
    reason: str = next(iter(errors), lines[-1] if lines else "it printed nothing")
    return reason.strip()


def _onnx_nodes(metadata: str) -> list[str]:
    return re.findall(r"\[ONNX Layer: ([^\]]+)\]", metadata)


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

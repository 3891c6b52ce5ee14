"""What TensorRT says of an engine's layers, in the forms of 8.5, 10 and 11: inspector and trtexec alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwtickets.errors import DeviceError
from hwtickets.runtimes.profiling import NodeTime

_PRECISIONS = (
    (re.compile(r"\b(?:BF16|BFloat16)\b", re.IGNORECASE), "bf16"),
    (re.compile(r"\b(?:FP16|Half)\b", re.IGNORECASE), "fp16"),
    (re.compile(r"\b(?:FP8|E4M3)\b", re.IGNORECASE), "fp8"),
    (re.compile(r"\bINT8\b", re.IGNORECASE), "int8"),
    (re.compile(r"\b(?:FP32|Float|TF32)\b", re.IGNORECASE), "fp32"),
)
#: Kernels for 2:4 weights have "sparse" in their names, or "sp" as a part of it.
_SPARSE_KERNEL = re.compile(r"sparse|(?<![a-z0-9])sp(?![a-z0-9])", re.IGNORECASE)
_PICKED = re.compile(r"\(Sparsity\) TRT inference plan picked sparse implementation for layers: *(.*)")
_PLACED = re.compile(r"\[(Dla|Gpu)Layer\] (?:[A-Z_]+: )?(.+)")
#: Layers that TensorRT puts in: changes of layout, type and shape, and what it compiled as a whole.
_PUT_IN = (
    "Reformatting CopyNode",
    "Forced Cast",
    "reshape_before_",
    "copied_squeeze_after_",
    "{ForeignNode",
    "__myl",
)
#: Parts of a layer's name that are a tensor, or a change of shape in front of a node.
_NO_NODE = re.compile(r"^unsqueeze_node_after_|\(Unnamed Layer\*")
_ELIGIBLE = re.compile(r"\(Sparsity\) Layers eligible for sparse math: *(.*)")


@dataclass(frozen=True)
class EngineLayer:
    """A layer of an engine.

    Attributes:
        name: As profiles call it.
        kind: What TensorRT calls it, e.g. "Convolution"; "" where it does not tell.
        nodes: Names of the ONNX nodes that it does the work of, the first first; empty for layers that
            TensorRT put in.
        precision: What its first input is held in, e.g. "fp16"; "" where it does not tell.
        kernel: Name of the kernel; "" where it does not tell.
        flagged: Whether it says that its weights are sparse. That is no proof: it was seen beside a dense
            kernel.
    """

    name: str
    kind: str = ""
    nodes: tuple[str, ...] = ()
    precision: str = ""
    kernel: str = ""
    flagged: bool = False

    @property
    def sparse(self) -> bool | None:
        """Whether a kernel for 2:4 weights runs, by its name; None where that is not told."""
        return bool(_SPARSE_KERNEL.search(self.kernel)) if self.kernel else None


@dataclass(frozen=True)
class SparsityLog:
    """What the builder's log says of sparse weights; names of layers.

    Attributes:
        eligible: Their weights hold the pattern.
        picked: A sparse kernel was the fastest.
    """

    eligible: tuple[str, ...]
    picked: tuple[str, ...]

    @staticmethod
    def parsed(lines: Sequence[str]) -> SparsityLog | None:
        """What the lines of a log say; None if they say nothing."""
        text = "\n".join(lines)
        eligible, picked = _ELIGIBLE.search(text), _PICKED.search(text)
        if eligible is None and picked is None:
            return None
        return SparsityLog(*(tuple(_split(found[1])) if found else () for found in (eligible, picked)))


@dataclass(frozen=True)
class Placement:
    """What the builder's log says of the deep-learning accelerator.

    Attributes:
        layers: What it runs: names of layers, or of groups of them; None where the log does not tell.
        fallback: Layers that the GPU runs; None where the log does not tell.
    """

    layers: tuple[str, ...] | None
    fallback: tuple[str, ...] | None

    @staticmethod
    def parsed(lines: Sequence[str]) -> Placement:
        """What the lines of a log say."""
        found = [match.groups() for line in lines if (match := _PLACED.search(line))]
        if not found:
            return Placement(None, None)
        on = {
            place: tuple(name.strip() for where, name in found if where == place) for place in ("Dla", "Gpu")
        }
        return Placement(on["Dla"], on["Gpu"])


def engine_layers(text: str) -> list[EngineLayer]:
    """Every layer, from the inspector's JSON or the file of --exportLayerInfo.

    An engine that was built without details has names only. From 11 on, the format and the type of a tensor
    are two entries, and "Bindings" is "I/O Tensors".

    Raises:
        DeviceError: It has another form.
    """
    try:
        known = json.loads(text)
    except ValueError as error:
        raise _unknown_form(str(error)) from error
    found = known.get("Layers") if isinstance(known, dict) else None
    if not isinstance(found, list):
        raise _unknown_form("there is no list 'Layers'")
    entries = [{"Name": entry} if isinstance(entry, str) else entry for entry in found]
    if not all(isinstance(entry, dict) and "Name" in entry for entry in entries):
        raise _unknown_form("a layer has no name")
    return [_layer(entry) for entry in entries]


def by_first_node(times_ms: Mapping[str, float], known: Sequence[EngineLayer]) -> dict[str, NodeTime]:
    """Times of layers under the names of their first ONNX nodes, in order.

    Args:
        times_ms: By layer.
        known: What is known of layers besides their names; may be empty.
    """
    layers = {layer.name: layer for layer in known}
    found: dict[str, NodeTime] = {}
    for name, time_ms in times_ms.items():
        layer = layers.get(name) or EngineLayer(name, nodes=nodes_in_name(name))
        key = layer.nodes[0] if layer.nodes else name
        before = found.get(key, NodeTime(layer.kind, 0.0, layer.kernel))
        found[key] = NodeTime(before.op_type, before.mean_ms + time_ms, before.kernel)
    return found


def nodes_in_name(layer: str) -> tuple[str, ...]:
    """ONNX nodes that a layer's name is made of, e.g. "a + PWN(b) || c"; none for what TensorRT put in."""
    if layer.startswith(_PUT_IN):
        return ()
    parts = (part.strip() for part in re.split(r" \+ | \|\| |, ", _without_pwn(layer)))
    return tuple(part for part in parts if part and not _NO_NODE.search(part))


def _without_pwn(name: str) -> str:
    """A name without the PWN(...) around fused element-wise nodes; other brackets are a node's own."""
    while (found := re.search(r"\bPWN\(", name)) is not None:
        depth, end = 1, found.end()
        while depth and end < len(name):
            depth += {"(": 1, ")": -1}.get(name[end], 0)
            end += 1
        inner = name[found.end() : end if depth else end - 1]
        name = name[: found.start()] + inner + name[end:]
    return name


def _layer(entry: Mapping[str, Any]) -> EngineLayer:
    name = str(entry["Name"])
    nodes = tuple(re.findall(r"\[ONNX Layer: ([^\]]+)\]", str(entry.get("Metadata", ""))))
    return EngineLayer(
        name=name,
        kind=str(entry.get("ParameterType", entry.get("LayerType", ""))),
        nodes=nodes or nodes_in_name(name),
        precision=_precision(entry.get("Inputs")),
        kernel=str(entry.get("TacticName", "")),
        flagged=entry.get("HasSparseWeights") in (1, True),
    )


def _precision(tensors: Any) -> str:
    first = next(iter(tensors), None) if isinstance(tensors, list) else None
    if not isinstance(first, dict):
        return ""
    said = " ".join(str(first.get(key, "")) for key in ("Format/Datatype", "Datatype", "DataType"))
    return next((name for pattern, name in _PRECISIONS if pattern.search(said)), "")


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _unknown_form(reason: str) -> DeviceError:
    return DeviceError(
        f"TensorRT wrote the layers of an engine in an unknown form ({reason}); which version is it?"
    )

"""Export to ONNX: one file, stated opset, node names that lead back to the blocks."""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from hwtickets import files
from hwtickets.errors import HwticketsError

OPSET = 18
_SCOPES = "pkg.torch.onnx.name_scopes"


def export_onnx(model: nn.Module, input_shape: tuple[int, int, int]) -> bytes:
    """A network as serialized ONNX, batch 1, input "x", output "y".

    Args:
        model: A deployable network.
        input_shape: Channels, height and width (pixels) of one input.

    Raises:
        HwticketsError: The exporter wrote another opset than asked for (it does so without failing).
    """
    proto = _exported(model, torch.zeros(1, *input_shape))
    _name_nodes(proto)
    _use_global_pooling(proto)
    proto = _slimmed(proto)
    _name_tensors(proto)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if opset != OPSET:
        raise HwticketsError(
            f"ONNX export: the exporter wrote opset {opset} instead of {OPSET}; pin another torch"
        )
    serialized: bytes = proto.SerializeToString()
    return serialized


def write_onnx(model: bytes, path: Path, metadata: Mapping[str, str]) -> None:
    """Checks a serialized network and writes it as one file.

    Args:
        model: Serialized ONNX.
        path: The file to write.
        metadata: Texts that travel inside the model; they replace what others left there.
    """
    proto = onnx.load_model_from_string(model)
    del proto.metadata_props[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    files.write_bytes(path, proto.SerializeToString())


def block_of(node: str, blocks: Collection[str]) -> str:
    """The part of the network that a node, as named here, belongs to: a searching block, else "stem", "head".

    Args:
        node: Name of the node.
        blocks: Names of the searching blocks, e.g. "blocks.3".
    """
    scope = node.split("/")[0]
    inside = [block for block in blocks if scope == block or scope.startswith(block + ".")]
    return inside[0] if inside else scope.split(".")[0]


def _exported(model: nn.Module, x: torch.Tensor) -> onnx.ModelProto:
    # The exporter reports its own progress and other packages' absence; none of it is the user's business.
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (x,),
                dynamo=True,
                input_names=["x"],
                output_names=["y"],
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        noisy.setLevel(level)
    assert program is not None
    return program.model_proto


def _name_nodes(proto: onnx.ModelProto) -> None:
    """Names every node "<scope>/<number>_<operator>" after the module that it (or the one before) is from."""
    scope = "input"
    for number, node in enumerate(proto.graph.node):
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
        inner = [name for name in ast.literal_eval(scopes)[:-1] if name]
        scope = inner[-1] if inner else scope
        node.name = f"{scope}/{number}_{node.op_type}"
        del node.metadata_props[:]


def _name_tensors(proto: onnx.ModelProto) -> None:
    """Names every tensor after its node: ONNX Runtime's profile knows fused nodes by their outputs."""
    final = {output.name for output in proto.graph.output}
    renamed = {
        name: node.name if index == 0 else f"{node.name}_{index}"
        for node in proto.graph.node
        for index, name in enumerate(node.output)
        if name not in final
    }
    for node in proto.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in proto.graph.value_info:
        value.name = renamed.get(value.name, value.name)


def _use_global_pooling(proto: onnx.ModelProto) -> None:
    """Turns a mean over both pixel axes into GlobalAveragePool, which runtimes keep in blocked layout."""
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type != "ReduceMean" or len(node.input) != 2 or node.input[1] not in constants:
            continue
        keeps = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
        if keeps and sorted(int(axis) % 4 for axis in constants[node.input[1]]) == [2, 3]:
            node.op_type = "GlobalAveragePool"
            del node.input[1], node.attribute[:]


def _slimmed(proto: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    with contextlib.redirect_stdout(io.StringIO()):
        slimmed = onnxslim.slim(proto)
    assert isinstance(slimmed, onnx.ModelProto)
    return slimmed

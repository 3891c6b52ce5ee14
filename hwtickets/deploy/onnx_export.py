"""Export to ONNX: one file, stated opset, node names that lead back to the blocks."""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from hwtickets import files
from hwtickets.deploy.onnx_file import LARGEST_BYTES, opened_onnx
from hwtickets.deploy.opsets import OPSET, opset_of, state_format
from hwtickets.deploy.torch_operators import operators_read_once
from hwtickets.errors import HwticketsError
from hwtickets.modules.calls import body_name
from hwtickets.modules.hosted import Joined
from hwtickets.runtimes.gelu import let_gelus_fuse

__all__ = ["BATCH", "OPSET", "GraphOptions", "block_of", "export_onnx", "write_onnx"]

#: Name of the batch dimension where it is free.
BATCH = "batch"
_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class GraphOptions:
    """What can be chosen of an exported graph.

    Attributes:
        opset: 18 or 17; None for what the precision needs: 18, in bf16 22.
        dynamic_batch: Whether any number of images can be given at once.
    """

    opset: int | None = None
    dynamic_batch: bool = False


def export_onnx(model: nn.Module, input_shape: tuple[int, int, int], dynamic_batch: bool = False) -> bytes:
    """A network as serialized ONNX, input "x", output "y", of one image if nothing else is asked.

    Args:
        model: A deployable network.
        input_shape: Channels, height and width (pixels) of one input.
        dynamic_batch: Leaves the batch free; its dimension is named "batch".

    Raises:
        HwticketsError: The weights do not fit into one file, or the exporter wrote another opset than asked
            for (it does so without failing).
    """
    _require_one_file(model)
    proto = _exported(model, input_shape, dynamic_batch)
    # Names are those that the author of the module gave.
    _name_nodes(proto, body_name if isinstance(model, Joined) else str)
    _use_global_pooling(proto)
    proto = _slimmed(proto)
    _name_new_nodes(proto)
    let_gelus_fuse(proto.graph)
    _name_tensors(proto)
    _positive_zeros(proto)
    if dynamic_batch:
        _name_batch(proto)
    if opset_of(proto) != OPSET:
        raise HwticketsError(
            f"ONNX export: the exporter wrote opset {opset_of(proto)} instead of {OPSET}; pin another torch"
        )
    state_format(proto)
    serialized: bytes = proto.SerializeToString()
    return serialized


def write_onnx(model: bytes, path: Path, metadata: Mapping[str, str]) -> None:
    """Checks a serialized network, types and shapes included, and writes it as one file.

    Args:
        model: Serialized ONNX.
        path: The file to write.
        metadata: Texts that travel inside the model; they replace what others left there.

    Raises:
        HwticketsError: The network contradicts itself.
    """
    proto = opened_onnx(model)
    del proto.metadata_props[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    state_format(proto)
    files.write_bytes(path, _with_shapes(proto).SerializeToString())


def _with_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The network with the type and shape of every tensor, as viewers and TensorRT's logs show them."""
    del proto.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise HwticketsError(f"ONNX export: the network contradicts itself: {reason}") from error
    return inferred


def _require_one_file(model: nn.Module) -> None:
    size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if size_bytes > LARGEST_BYTES:
        raise HwticketsError(
            f"ONNX export: the weights take {size_bytes / 1e9:.2f} GB, one ONNX file holds"
            f" {LARGEST_BYTES / 1e9:.2f} GB; draw a smaller ticket (--size)"
        )


def block_of(node: str, blocks: Collection[str]) -> str:
    """The part of the network that a node, as named here, belongs to: a searching block, else "stem", "head".

    Args:
        node: Name of the node.
        blocks: Names of the searching blocks, e.g. "blocks.3".
    """
    scope = node.split("/")[0]
    inside = [block for block in blocks if scope == block or scope.startswith(block + ".")]
    return inside[0] if inside else scope.split(".")[0]


def _exported(model: nn.Module, input_shape: tuple[int, int, int], dynamic_batch: bool) -> onnx.ModelProto:
    # A batch of one would be taken for a constant.
    x = torch.zeros(2 if dynamic_batch else 1, *input_shape)
    free = ({0: torch.export.Dim(BATCH, min=1)},) if dynamic_batch else None
    # The exporter reports its own progress and other packages' absence; none of it is the user's business.
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), operators_read_once():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (x,),
                dynamo=True,
                input_names=["x"],
                output_names=["y"],
                dynamic_shapes=free,
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        noisy.setLevel(level)
    assert program is not None
    return program.model_proto


def _name_nodes(proto: onnx.ModelProto, own: Callable[[str], str]) -> None:
    """Names every node "<scope>/<number>_<operator>" after the module that it (or the one before) is from."""
    scope = "input"
    for number, node in enumerate(proto.graph.node):
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
        inner = [own(name) for name in ast.literal_eval(scopes)[:-1] if own(name)]
        scope = inner[-1] if inner else scope
        node.name = f"{scope}/{number}_{node.op_type}"
        del node.metadata_props[:]


def _name_new_nodes(proto: onnx.ModelProto) -> None:
    """Names the nodes that the slimming put in after the module of the one before."""
    scope = "input"
    for number, node in enumerate(proto.graph.node):
        if "/" not in node.name:
            node.name = f"{scope}/slim{number}_{node.op_type}"
        scope = node.name.split("/")[0]


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


def _name_batch(proto: onnx.ModelProto) -> None:
    """Gives the free dimension its name; the exporter's own can be an expression."""
    del proto.graph.value_info[:]
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH


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


def _positive_zeros(proto: onnx.ModelProto) -> None:
    """Makes every zero +0: of masked weights half are -0, and two kinds of zeros hardly compress."""
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor) + np.float32(0)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _slimmed(proto: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    with contextlib.redirect_stdout(io.StringIO()):
        slimmed = onnxslim.slim(proto)
    assert isinstance(slimmed, onnx.ModelProto)
    return slimmed

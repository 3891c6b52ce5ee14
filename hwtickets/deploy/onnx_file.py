"""An ONNX model as it comes from outside: opened, or one line that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import onnx

from hwtickets.errors import HwticketsError
from hwtickets.files import reading
from hwtickets.runtimes.proto import proto_of

#: What one protobuf file can hold.
LARGEST_BYTES = 2**31 - 1


def opened_onnx(model: bytes | Path, name: str = "the given model") -> onnx.ModelProto:
    """Reads a model that is complete in one file.

    Args:
        model: Serialized ONNX, or the file that holds it.
        name: What errors call it; a file has its own name.

    Raises:
        HwticketsError: It is missing, damaged, not ONNX, empty, or keeps its weights in other files.
    """
    if isinstance(model, Path):
        with reading(model, "model"):
            return opened_onnx(model.read_bytes(), str(model))
    proto = proto_of(model)
    if proto is None:
        raise HwticketsError(f"{name} is damaged or not ONNX; export the ticket again")
    # Bytes of many other formats pass as a message of fields that are not known.
    if not proto.graph.node or not proto.opset_import:
        raise HwticketsError(f"{name} holds no network; export the ticket again")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        raise HwticketsError(
            f"{name} keeps its weights in other files; save it as one file (onnx.save with"
            " save_as_external_data=False)"
        )
    return proto


def require_network_of_ours(proto: onnx.ModelProto, name: str = "the given model") -> None:
    """Raises a HwticketsError if a model has other inputs or outputs than "x" and "y"."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value.name for value in proto.graph.input if value.name not in weights]
    outputs = [value.name for value in proto.graph.output]
    if inputs != ["x"] or outputs != ["y"]:
        raise HwticketsError(
            f"{name} is not a network that hwtickets wrote: its inputs are {', '.join(inputs) or 'none'} and"
            f" its outputs {', '.join(outputs) or 'none'} instead of x and y; export the ticket again"
        )

"""The same network for several images at once."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from hwtickets.deploy.numerics import TOLERANCES, Array
from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load


class FixedBatchError(HwticketsError):
    """A network computes one image at a time, and its graph cannot be changed."""


def at_batch(model: bytes, batch: int, images: Array, precision: str) -> bytes:
    """The serialized network with another batch size; proven to compute the same here.

    The first dimension of its input is edited, and constants that repeat it (shapes of Reshape, sizes of
    Resize).

    Args:
        model: A network for one image, or with a free batch, serialized.
        batch: Images at once.
        images: Real inputs, shape (images, ...), to compare both on.
        precision: Of the network; says how far both may differ.

    Raises:
        FixedBatchError: The changed network computes something else, or nothing; says why.
    """
    proto = opened_onnx(model)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for value in (*proto.graph.input, *proto.graph.output):
        if value.name not in constants:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            _replace(proto, node, 1, constants[node.input[1]], batch)
        if node.op_type == "Resize" and len(node.input) > 3 and node.input[3] in constants:
            _replace(proto, node, 3, constants[node.input[3]], batch)
    _require_shapes(proto, batch)
    changed: bytes = proto.SerializeToString()
    _require_same(model, changed, images[np.arange(batch) % len(images)], TOLERANCES[precision])
    return changed


def _replace(
    proto: onnx.ModelProto, node: onnx.NodeProto, place: int, constant: onnx.TensorProto, batch: int
) -> None:
    """Gives a node its own copy of a constant shape, with the batch in place of a first entry of 1."""
    shape = numpy_helper.to_array(constant).copy()
    if shape.ndim != 1 or not len(shape) or shape[0] != 1:
        return
    shape[0] = batch
    name = f"{node.name}_shape_{place}"
    proto.graph.initializer.append(numpy_helper.from_array(shape, name))
    node.input[place] = name


def _require_shapes(proto: onnx.ModelProto, batch: int) -> None:
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise _fixed(str(error).strip().splitlines()[-1]) from error
    sizes = {value.type.tensor_type.shape.dim[0].dim_value for value in inferred.graph.output}
    if sizes != {batch}:
        raise _fixed(f"its output stays {', '.join(map(str, sizes))} long")


def _require_same(model: bytes, changed: bytes, images: Array, tolerance: float) -> None:
    try:
        alone = load(model)
        expected = np.concatenate([alone.run({"x": image[None]})[0] for image in images])
        actual = load(changed).run({"x": images})[0]
    except Exception as error:  # The runtime's exceptions share no base class below Exception.
        raise _fixed(str(error).split("\n")[0]) from error
    largest = max(float(np.abs(expected).max()), 1e-12)
    if expected.shape != actual.shape or not np.abs(expected - actual).max() <= tolerance * largest:
        raise _fixed("a larger one computes something else")


def _fixed(reason: str) -> FixedBatchError:
    return FixedBatchError(
        f"the graph has its batch of 1 built in ({reason}); export the ticket with --dynamic-batch"
    )

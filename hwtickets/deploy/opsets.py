"""The opset of a network, and our own step down from 18 to 17, the newest that TensorRT 8.5 reads."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwtickets.deploy.older_forms import KnownGraph, NoOlderFormError, to_older_form
from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.errors import HwticketsError, NumericsError, UsageError
from hwtickets.runtimes import load

#: What the exporter writes, and what it can be stepped down to.
OPSET, OLDEST_OPSET = 18, 17
#: Largest difference, as a share of the largest output, that two kernels of one operator may show.
_TOLERANCE = 1e-5


def opset_of(model: bytes | onnx.ModelProto) -> int:
    """The opset that a network says it is written in."""
    proto = opened_onnx(model) if isinstance(model, bytes) else model
    return next((int(entry.version) for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)


def state_format(proto: onnx.ModelProto) -> None:
    """States the format of files (IR) that came with the network's opset: a newer one shuts readers out.

    ONNX Runtime 1.16 reads opset 18, which came with IR 8, but refuses the IR 10 that the exporter states.
    """
    proto.ir_version = helper.find_min_ir_version_for(list(proto.opset_import), ignore_unknown=True)


def require_opset(opset: int | None, needed: int = OPSET) -> None:
    """Raises a UsageError if a network that needs an opset cannot be written in another one.

    Args:
        opset: 18, 17, or None: what it needs.
        needed: By its precision.
    """
    if opset is None:
        return
    if opset not in (OLDEST_OPSET, OPSET):
        raise UsageError(f"opset {opset} cannot be written; choose {OPSET} or {OLDEST_OPSET} (TensorRT 8.5)")
    if needed > OPSET:
        raise UsageError(
            f"a network in this precision needs opset {needed} (convolutions in bfloat16 came with it), so"
            f" not --opset {opset}; choose fp32, fp16 or int8"
        )


def at_opset(model: bytes, opset: int | None) -> bytes:
    """A serialized network in another opset; it is run in both, and has to compute the same.

    Args:
        model: As exported.
        opset: 18 or 17; None leaves it as it is.

    Raises:
        UsageError: Another one is asked for, or the network needs a newer one.
        HwticketsError: An operator has no form in the older opset; it is named.
        NumericsError: The two do not compute the same.
    """
    if opset is None:
        return model
    proto = opened_onnx(model)
    now = opset_of(proto)
    require_opset(opset, now)
    if now == opset:
        return model
    if now < opset:
        raise UsageError(f"the network is written in opset {now} already; {opset} would say nothing more")
    _step_down(proto)
    lowered: bytes = proto.SerializeToString()
    _require_same(model, lowered)
    return lowered


def _step_down(proto: onnx.ModelProto) -> None:
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    known = KnownGraph(proto.graph, constants, {value.name: _sizes(value) for value in values})
    for node in proto.graph.node:
        if node.domain not in ("", "ai.onnx") or _same_in_both(node.op_type):
            continue
        try:
            to_older_form(node, known)
        except NoOlderFormError as error:
            raise HwticketsError(
                f"{node.op_type} ({node.name}) has no form in opset {OLDEST_OPSET}: {error}; export with"
                f" --opset {OPSET} for TensorRT 8.6 and later"
            ) from error
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = OLDEST_OPSET
    state_format(proto)
    used = {name for node in proto.graph.node for name in node.input}
    left = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(left)


def _same_in_both(op_type: str) -> bool:
    newer = onnx.defs.get_schema(op_type, OPSET, "")
    return newer.since_version <= OLDEST_OPSET


def _sizes(value: onnx.ValueInfoProto) -> list[int | None]:
    dims = value.type.tensor_type.shape.dim
    return [int(dim.dim_value) if dim.HasField("dim_value") else None for dim in dims]


def _require_same(model: bytes, lowered: bytes) -> None:
    before, after = load(model), load(lowered)
    inputs = before.random_inputs()
    for expected, actual in zip(before.run(inputs), after.run(inputs), strict=True):
        largest = max(float(np.abs(expected).max(initial=0)), 1e-12)
        if not np.abs(expected - actual).max(initial=0) <= _TOLERANCE * largest:
            raise NumericsError(
                f"the network computes something else in opset {OLDEST_OPSET} than in {OPSET}; export with"
                f" --opset {OPSET}"
            )

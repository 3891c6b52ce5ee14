"""A serialized network, read if it can be."""

from __future__ import annotations

import onnx


def proto_of(model: bytes) -> onnx.ModelProto | None:
    """The network in some bytes; None for what is none."""
    try:
        return onnx.load_model_from_string(model)
    except Exception:  # protobuf's errors have no base of their own.
        return None

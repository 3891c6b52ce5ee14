"""Networks without training in the precision that they are timed at."""

from __future__ import annotations

from collections.abc import Mapping

from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.skeleton import skeleton_model


def timed_model(graph: OperatorGraph, fingerprint: Mapping[str, str], seed: int = 0) -> bytes:
    """The skeleton of a graph as a device of a precision times it; see `skeleton_model`, `as_timed`."""
    return as_timed(skeleton_model(graph, seed), fingerprint)


def as_timed(model: bytes, fingerprint: Mapping[str, str]) -> bytes:
    """A serialized fp32 network as a device of a precision times it.

    Runtimes build the other precisions from a graph in fp32; 8 bits are in the graph: QuantizeLinear and
    DequantizeLinear as an export writes them, with ranges that are made up.

    Args:
        model: The network.
        fingerprint: Of the device: its runtime and precision.
    """
    if fingerprint.get("precision") != "int8":
        return model
    from hwtickets.deploy.quantization import Quantizer, recipe_for

    return Quantizer.for_timing(model, recipe_for(fingerprint.get("runtime", ""))).quantized()

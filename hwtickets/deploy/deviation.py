"""Which operator of a deployed network is the first to compute something else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from hwtickets.deploy.numerics import Array
from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.deploy.probes import Origin, in_parts, origins, probed, readable_tensors
from hwtickets.errors import HwticketsError
from hwtickets.runtimes import Bench, load

#: Bytes of tensors that are looked at in one run.
_PART_BYTES = 64_000_000


@dataclass(frozen=True)
class Deviation:
    """An operator whose output differs from the reference's by more than is allowed.

    Attributes:
        origin: The operator.
        rel_error: Largest difference of its output, as a share of the reference's largest value.
    """

    origin: Origin
    rel_error: float

    def __str__(self) -> str:
        origin = self.origin
        kind = f"{origin.op_type}; block {origin.block}, module {origin.module}"
        return f"{origin.name} ({kind}) by {self.rel_error:.2g} of its largest value"


def first_deviation(
    model: bytes, reference: bytes, bench: Bench, image: Array, tolerance: float, blocks: Collection[str]
) -> Deviation | None:
    """Compares two networks operator by operator, on one image.

    Tensors that have the same name in both are made outputs and compared in the reference's order of
    execution. A tensor that is an output cannot be fused away: a fault of a fusion itself does not show.

    Args:
        model: The deployed network, serialized.
        reference: The network that it should compute as, serialized; is run here, in ONNX Runtime.
        bench: Where the deployed network runs.
        image: One input, shape (1, ...).
        tolerance: Largest accepted error of a tensor, as a share of the reference's largest value.
        blocks: Names of the searching blocks.

    Returns:
        The first operator beyond the tolerance; None if there is none.

    Raises:
        HwticketsError: The networks have no tensor in common, or the device does not run a network with
            further outputs.
    """
    proto, deployed = opened_onnx(reference), opened_onnx(model)
    readable = readable_tensors(deployed)
    every = {origin.tensor: origin for origin in origins(proto, blocks)}
    shared = [tensor for tensor in every if tensor in readable]
    if not shared:
        raise HwticketsError("the deployed network has no tensor in common with its ticket's")
    for part in in_parts(shared, proto, _PART_BYTES):
        expected = load(probed(reference, part)).run({"x": image})[-len(part) :]
        seen = probed(model, [readable[tensor] for tensor in part])
        actual = bench.run(seen, [{"x": image}])[0][-len(part) :]
        for tensor, error in zip(part, _errors(expected, actual), strict=True):
            # What is not a number is no number within the tolerance either.
            if not error <= tolerance:
                return Deviation(_maker(tensor, every, proto, shared), error)
    return None


def _maker(
    tensor: str, every: Mapping[str, Origin], proto: onnx.ModelProto, shared: Collection[str]
) -> Origin:
    """The first of the reference's operators that the deployed network computes a tensor with at once."""
    inputs = {node.output[0]: node.input[0] for node in proto.graph.node if node.output and node.input}
    while inputs.get(tensor) in every and inputs[tensor] not in shared:
        tensor = inputs[tensor]
    return every[tensor]


def _errors(expected: Sequence[Array], actual: Sequence[Array]) -> list[float]:
    if [values.shape for values in expected] != [values.shape for values in actual]:
        raise HwticketsError("the device gives tensors of other shapes than the ticket's network")
    return [
        float(np.abs(one.astype(np.float64) - other).max() / max(float(np.abs(one).max()), 1e-12))
        for one, other in zip(expected, actual, strict=True)
    ]

"""What building an engine of a network must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx

from hwtickets.errors import HwticketsError
from hwtickets.runtimes.proto import proto_of

#: Metadata of a network that is built once more to see how far builds differ.
ANEW = "hwtickets.build"


@dataclass(frozen=True)
class ToBuild:
    """What a network says of its build.

    Attributes:
        free: Inputs that leave their batch open, with the rest of their shapes.
        quantized: Whether its graph computes in 8 bits, whatever the device is used in.
        anew: Whether it is built once more, and times of kernels from earlier builds would make it the same.
        outputs: Names of its outputs, in its own order.
    """

    free: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    quantized: bool = False
    anew: bool = False
    outputs: tuple[str, ...] = ()

    @staticmethod
    def of(model: bytes) -> ToBuild:
        """What a serialized network says; a damaged one says nothing, and is the builder's to refuse.

        Raises:
            HwticketsError: An input leaves more open than its batch.
        """
        proto = proto_of(model)
        if proto is None:
            return ToBuild()
        weights = {tensor.name for tensor in proto.graph.initializer}
        shapes = {value.name: _sizes(value) for value in proto.graph.input if value.name not in weights}
        free = {name: sizes[1:] for name, sizes in shapes.items() if 0 in sizes}
        for name, rest in free.items():
            if 0 in rest:
                raise HwticketsError(
                    f"the input {name} leaves more open than its batch; export it with a fixed size"
                )
        return ToBuild(
            free,
            quantized=any(node.op_type == "QuantizeLinear" for node in proto.graph.node),
            anew=any(entry.key == ANEW for entry in proto.metadata_props),
            outputs=tuple(value.name for value in proto.graph.output),
        )


def _sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The sizes of an input; 0 where one is open."""
    return tuple(int(size.dim_value) for size in value.type.tensor_type.shape.dim)

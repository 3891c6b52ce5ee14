"""What a runtime can do, known without loading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a runtime can do with the networks of this package.

    Attributes:
        graphs: Precisions that a graph can have in itself and is computed in, the exact one first.
        operator_times: Whether it says what its operators take.
        threads: Whether it computes on as many threads of the CPU as it is told.
    """

    graphs: tuple[str, ...]
    operator_times: bool = True
    threads: bool = True


_ENGINES = Capabilities(("fp32", "fp16", "bf16", "int8"), threads=False)
_TORCH = ("fp32", "fp16", "bf16")
#: By the name that profiles and tables call them; `onnxruntime` lacks convolutions in bf16.
CAPABILITIES = {
    "onnxruntime": Capabilities(("fp32", "fp16", "int8")),
    "openvino": Capabilities(("fp32", "fp16", "bf16", "int8")),
    "pytorch": Capabilities(_TORCH),
    "pytorch-compiled": Capabilities(_TORCH, operator_times=False),
    "onnxruntime-cuda": Capabilities(("fp32", "fp16"), threads=False),
    "pytorch-cuda": Capabilities(_TORCH, threads=False),
    "pytorch-cuda-compiled": Capabilities(_TORCH, operator_times=False, threads=False),
    "pytorch-cuda-graphs": Capabilities(_TORCH, threads=False),
    "tensorrt": _ENGINES,
    "trtexec": _ENGINES,
}

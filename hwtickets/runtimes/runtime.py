"""What a runtime on this machine offers; one small class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from hwtickets.errors import DeviceError
from hwtickets.runtimes.timing import Runnable

if TYPE_CHECKING:
    from hwtickets.runtimes.bench import Model
    from hwtickets.runtimes.onnxruntime import Array
    from hwtickets.runtimes.profiling import NodeTime


class NoProfileError(DeviceError):
    """A runtime does not say what its operators take."""


class Runtime(Protocol):
    """A runtime with its settings (threads, precision).

    Attributes:
        gpu: Whether it computes on a discrete GPU.
    """

    gpu: bool

    def load(self, model: Model) -> Runnable:
        """Builds a network and gets it ready to run.

        Raises:
            HwticketsError: The model is missing, damaged or uses something that the runtime lacks.
        """

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int) -> dict[str, NodeTime]:
        """Times of the operators that the runtime executes, after its own fusions, in order of execution.

        Returns:
            Times by the name of the (first) ONNX node that an operator is made of. What the runtime puts in
            on its own, e.g. a change of the memory layout, has a name without a slash.

        Raises:
            NoProfileError: The runtime does not tell.
        """


def local_runtime(name: str, threads: int, precision: str) -> Runtime:
    """A runtime on this machine by its name; see `hwtickets.devices.runtimes` for the names.

    Args:
        name: e.g. "openvino", "pytorch-cuda-graphs".
        threads: Threads to compute with on the CPU.
        precision: That it computes in, where the graph does not say otherwise.

    Raises:
        DeviceError: It cannot run here; says why.
    """
    if name == "openvino":
        from hwtickets.runtimes.openvino import OpenVino

        return OpenVino(threads, precision)
    if name == "onnxruntime-cuda":
        from hwtickets.runtimes.onnxruntime_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(precision)
    if name.startswith("pytorch"):
        from hwtickets.runtimes.pytorch import PyTorch

        parts = name.split("-")[1:]
        mode = "compiled" if "compiled" in parts else "graphs" if "graphs" in parts else "eager"
        return PyTorch("cuda" if "cuda" in parts else "cpu", mode, threads, precision)
    if name != "onnxruntime":
        raise DeviceError(
            f"{name} does not run on this machine; choose another device: hwtickets devices list"
        )
    from hwtickets.runtimes.onnxruntime import OnnxRuntime

    return OnnxRuntime(threads)

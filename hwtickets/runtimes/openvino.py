"""OpenVINO on the CPU, set up so that it computes in the precision and on the threads that are said."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov

from hwtickets.errors import HwticketsError
from hwtickets.runtimes.clocks import Timer, cpu_clock, timed
from hwtickets.runtimes.onnxruntime import load_advice

if TYPE_CHECKING:
    from hwtickets.runtimes.onnxruntime import Array
    from hwtickets.runtimes.profiling import NodeTime

#: Left alone, the CPU plugin computes in bf16 wherever the processor can, and calls it the same network.
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVino:
    """OpenVINO on this machine's CPU; see `Runtime`. 8-bit graphs stay in 8 bits at every precision.

    Args:
        threads: Threads to compute with; with 1 the caller's own thread does all the work.
        precision: "fp32" or "bf16".
    """

    gpu = False

    def __init__(self, threads: int, precision: str) -> None:
        self._threads = threads
        self._options: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            # The caller's thread does the work: it must not stay pinned afterwards.
            "ENABLE_CPU_PINNING": False,
        }

    def load(self, model: bytes | Path) -> OpenVinoSession:
        """Builds a network and gets it ready to run."""
        return OpenVinoSession(compiled(model, self._options), self._threads)

    def node_times(self, model: bytes | Path, inputs: Mapping[str, Array], runs: int) -> dict[str, NodeTime]:
        """Times of the operators that are executed; see `openvino_profile.node_times`."""
        from hwtickets.runtimes.openvino_profile import node_times

        return node_times(model, inputs, runs, self._options)


class OpenVinoSession:
    """A network that is ready to run; made by `OpenVino.load`.

    Attributes:
        clock: What its times are of.
    """

    def __init__(self, network: ov.CompiledModel, threads: int) -> None:
        self._request = network.create_infer_request()
        self.clock = cpu_clock(threads)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs for one set of inputs."""
        found = self._request.infer(dict(inputs))
        return [np.array(found[index]) for index in range(len(found))]

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        """A timer of runs on these inputs, which are bound once."""
        bind(self._request, inputs)
        return timed(self._request.infer, self.clock)


def bind(request: ov.InferRequest, inputs: Mapping[str, Array]) -> None:
    """Gives a request the inputs of all runs to come."""
    for name, values in inputs.items():
        request.set_tensor(name, ov.Tensor(np.ascontiguousarray(values)))


def compiled(model: bytes | Path, options: Mapping[str, Any]) -> ov.CompiledModel:
    """A network as the CPU plugin runs it.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        options: Of the plugin.

    Raises:
        HwticketsError: The model is missing, damaged or uses something that the runtime lacks.
    """
    name = str(model) if isinstance(model, Path) else "the given model"
    if isinstance(model, Path) and not model.is_file():
        raise HwticketsError(f"there is no model at {model}")
    try:
        network = _core().read_model(str(model) if isinstance(model, Path) else model)
        return _core().compile_model(network, "CPU", dict(options))
    except RuntimeError as error:
        raise HwticketsError(
            f"OpenVINO cannot load {name}: {_reason(error)}; {load_advice(model)}"
        ) from error


@functools.cache
def _core() -> ov.Core:
    return ov.Core()


def _reason(error: RuntimeError) -> str:
    """The line that says what is wrong; the others name OpenVINO's own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    operators = [line[3:] for line in lines if line.startswith("-- ")][-1:]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '", "While"))]
    return (operators or telling or lines or ["it gives no reason"])[0].rstrip(".")

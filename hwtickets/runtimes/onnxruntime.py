"""ONNX Runtime on the CPU, set up so that two runs of one network take the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.runtimes.clocks import Timer, cpu_clock, timed
from hwtickets.runtimes.denormals import denormals_as_zero
from hwtickets.runtimes.half import ENDS_THE_PROCESS, dangerous_product
from hwtickets.runtimes.proto import proto_of

if TYPE_CHECKING:
    from hwtickets.runtimes.profiling import NodeTime

Array = NDArray[Any]

#: What computes where nothing else is asked for.
CPU = ("CPUExecutionProvider",)
_ERRORS_ONLY = 3


class Session:
    """A network that is ready to run; made by `load`.

    Attributes:
        threads: Threads that the network computes with.
        clock: What its times are of.
        input_names: Names of the inputs, in order.
    """

    def __init__(self, session: ort.InferenceSession, threads: int) -> None:
        self._session = session
        self.threads = threads
        self.clock = cpu_clock(threads)
        self.input_names: list[str] = [entry.name for entry in session.get_inputs()]

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs for one set of inputs."""
        with denormals_as_zero():
            outputs: list[Array] = self._session.run(None, inputs)
        return outputs

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        """A timer of runs on these inputs, which are bound once.

        Bound anew by every run, the arguments would cost 2 to 3 us of Python, which no program in C++ pays.
        """
        binding = self._session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(values))
        for output in self._session.get_outputs():
            binding.bind_output(output.name)
        timer = timed(partial(self._session.run_with_iobinding, binding), self.clock)

        def timer_without_denormals() -> float:
            with denormals_as_zero():
                return timer()

        return timer_without_denormals

    def random_inputs(self, seed: int = 0) -> dict[str, Array]:
        """Standard normal fp32 inputs of the network's shapes; a free dimension becomes 1."""
        random = np.random.default_rng(seed)
        shapes = {entry.name: entry.shape for entry in self._session.get_inputs()}
        return {
            name: random.standard_normal([size if isinstance(size, int) else 1 for size in shape]).astype(
                np.float32
            )
            for name, shape in shapes.items()
        }


class OnnxRuntime:
    """ONNX Runtime on this machine's CPU, in the precision that the graph has; see `Runtime`.

    Args:
        threads: Threads to compute with.
    """

    gpu = False

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def load(self, model: bytes | Path) -> Session:
        """Builds a network and gets it ready to run."""
        return load(model, self._threads)

    def node_times(self, model: bytes | Path, inputs: Mapping[str, Array], runs: int) -> dict[str, NodeTime]:
        """Times of the operators that are executed; see `hwtickets.runtimes.node_times`."""
        from hwtickets.runtimes.profiling import node_times

        return node_times(model, inputs, runs, self._threads)


def load(model: bytes | Path, threads: int = 1) -> Session:
    """Prepares a network for running.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        threads: Threads to compute with; with 1 the caller's own thread does all the work.

    Raises:
        HwticketsError: The model is missing, damaged or uses something that the runtime lacks.
    """
    return Session(create_session(model, session_options(threads)), threads)


def session_options(threads: int) -> ort.SessionOptions:
    """The options that every session of ours runs with."""
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads burn the time of whatever is measured next to them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Numbers below 1e-38, which a masked softmax is full of, are slow on some processors.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.log_severity_level = _ERRORS_ONLY
    return options


def create_session(
    model: bytes | Path, options: ort.SessionOptions, providers: Sequence[Any] = CPU
) -> ort.InferenceSession:
    """A bare session of the runtime; see `load` for the errors.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        options: Of the session.
        providers: What computes, the preferred first: names, or names with their options.
    """
    name = str(model) if isinstance(model, Path) else "the given model"
    if isinstance(model, Path) and not model.is_file():
        raise HwticketsError(f"there is no model at {model}")
    disabled = [ENDS_THE_PROCESS] if dangerous_product(model) else []
    source = str(model) if isinstance(model, Path) else model
    try:
        with denormals_as_zero():
            return ort.InferenceSession(
                source, options, providers=list(providers), disabled_optimizers=disabled
            )
    except Exception as error:  # The runtime's exceptions share no base class below Exception.
        reason = str(error).split("\n")[0]
        raise HwticketsError(f"ONNX Runtime cannot load {name}: {reason}; {load_advice(model)}") from error


def load_advice(model: bytes | Path) -> str:
    """What helps where a runtime does not load a model; a whole one would be the same exported again."""
    proto = proto_of(model.read_bytes() if isinstance(model, Path) else model)
    whole = proto is not None and bool(proto.graph.node)
    return "choose another precision or device (hwtickets devices list)" if whole else "export it again"

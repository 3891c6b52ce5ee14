"""PyTorch as a runtime: operator by operator, compiled, or as a CUDA graph. CUDA was not run by us yet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import fx

from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes.clocks import CUDA_EVENTS, Timer, cpu_clock, timed
from hwtickets.runtimes.denormals import denormals_as_zero
from hwtickets.runtimes.onnx_to_torch import to_module
from hwtickets.runtimes.runtime import NoProfileError

if TYPE_CHECKING:
    from hwtickets.runtimes.onnxruntime import Array
    from hwtickets.runtimes.profiling import NodeTime

_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_WARMUP_RUNS = 3


class PyTorch:
    """PyTorch on this machine; see `Runtime`.

    Tensors of images are in channels-last layout, which PyTorch computes convolutions fastest in. fp32 is
    fp32: tensor cores do not round to TF32.

    Args:
        device: "cpu" or "cuda".
        mode: "eager" (operator by operator), "compiled" (torch.compile) or "graphs" (a CUDA graph).
        threads: Threads to compute with on the CPU.
        precision: "fp32", "fp16" or "bf16"; inputs and outputs are fp32 in all of them. A graph that has its
            precision in itself keeps it in "fp32".

    Raises:
        DeviceError: There is no GPU that PyTorch can use.
    """

    def __init__(self, device: str, mode: str, threads: int, precision: str) -> None:
        self.gpu = device == "cuda"
        if self.gpu and not torch.cuda.is_available():
            built = torch.version.cuda
            reason = "its driver does not answer" if built else "it was built without CUDA"
            raise DeviceError(f"PyTorch {torch.__version__} cannot use a GPU: {reason}")
        self._device, self._mode, self._threads, self._type = device, mode, threads, _TYPES[precision]

    def load(self, model: bytes | Path) -> TorchSession:
        """Builds a network and gets it ready to run."""
        module = self._module(model)
        if self._mode == "compiled":
            compiled = torch.compile(module, dynamic=False, fullgraph=True, options={"freezing": True})
            return TorchSession(compiled, self._device, self._threads)
        # Called as a module, it would print a traceback of its own where it fails.
        if self._mode == "graphs":
            return GraphSession(module.forward, self._threads)
        return TorchSession(module.forward, self._device, self._threads)

    def node_times(self, model: bytes | Path, inputs: Mapping[str, Array], runs: int) -> dict[str, NodeTime]:
        """Times of the operators that are executed; see `pytorch_profile`.

        Raises:
            NoProfileError: What torch.compile makes of a network has no operators of the graph any more.
        """
        from hwtickets.runtimes import pytorch_profile

        if self._mode == "compiled":
            raise NoProfileError(
                "torch.compile leaves no operators that could be timed one by one; take the same processor's"
                " PyTorch without compilation for tables and profiles"
            )
        profiled = pytorch_profile.on_gpu if self.gpu else pytorch_profile.on_cpu
        with computing(self._threads), _explained():
            return profiled(self._module(model), _placed(inputs, self._device), runs)

    def _module(self, model: bytes | Path) -> fx.GraphModule:
        return to_module(model, self._type).to(self._device)


class TorchSession:
    """A network that is ready to run; made by `PyTorch.load`.

    Attributes:
        clock: What its times are of.
    """

    def __init__(self, module: Callable[..., Any], device: str, threads: int) -> None:
        self._module, self._device, self._threads = module, device, threads
        self.clock = CUDA_EVENTS if device == "cuda" else cpu_clock(threads)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs for one set of inputs."""
        with computing(self._threads), _explained():
            found = self._module(*_placed(inputs, self._device))
        return [output.float().cpu().numpy() for output in found]

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        """A timer of runs on these inputs, which are on the device already."""
        placed = _placed(inputs, self._device)
        with computing(self._threads), _explained():
            self._module(*placed)
        return self._timer(lambda: self._module(*placed))

    def _timer(self, run: Callable[[], object]) -> Timer:
        once = _cuda_timed(run) if self.clock == CUDA_EVENTS else timed(run, self.clock)

        def timer() -> float:
            with computing(self._threads):
                return once()

        return timer


class GraphSession(TorchSession):
    """A network as a CUDA graph: the kernels are launched all at once."""

    def __init__(self, module: Callable[..., Any], threads: int) -> None:
        super().__init__(module, "cuda", threads)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs for one set of inputs."""
        captured = self._captured(inputs)
        captured.graph.replay()
        return [output.float().cpu().numpy() for output in captured.outputs]

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        """A timer of replays on these inputs, which are on the device already."""
        captured = self._captured(inputs)
        return self._timer(lambda: captured.graph.replay())

    def _captured(self, inputs: Mapping[str, Array]) -> _Captured:
        placed = _placed(inputs, "cuda")
        # Libraries choose and set up their kernels in the first runs, which a capture must not see.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with computing(self._threads), _explained(), torch.cuda.stream(aside):
            for _ in range(_WARMUP_RUNS):
                self._module(*placed)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with computing(self._threads), _explained(), torch.cuda.graph(graph):
            outputs = self._module(*placed)
        return _Captured(graph, placed, outputs)


class _Captured(NamedTuple):
    """A CUDA graph with the tensors that it reads and writes, wherever they are: they live as long as it."""

    graph: torch.cuda.CUDAGraph
    inputs: list[torch.Tensor]
    outputs: tuple[torch.Tensor, ...]


@contextlib.contextmanager
def computing(threads: int) -> Iterator[None]:
    """PyTorch as it computes here: without gradients, on so many threads, in the precision that is said."""
    before, cudnn = torch.get_num_threads(), torch.backends.cudnn
    settings = cudnn.allow_tf32, cudnn.benchmark
    if before != threads:
        torch.set_num_threads(threads)
    # cuDNN measures its kernels instead of guessing, as it does for ONNX Runtime.
    cudnn.allow_tf32, cudnn.benchmark = False, True
    try:
        with torch.inference_mode(), denormals_as_zero():
            yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark = settings
        if before != threads:
            torch.set_num_threads(before)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # Of shapes, of memory, and of the compiler.
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise HwticketsError(f"PyTorch cannot run the network: {reason.strip()}") from error


def _placed(inputs: Mapping[str, Array], device: str) -> list[torch.Tensor]:
    tensors = [torch.from_numpy(np.ascontiguousarray(values)) for values in inputs.values()]
    layouts = [torch.channels_last if tensor.dim() == 4 else torch.preserve_format for tensor in tensors]
    return [tensor.to(device, memory_format=layout) for tensor, layout in zip(tensors, layouts, strict=True)]


def _cuda_timed(run: Callable[[], object]) -> Timer:
    """A timer that asks the GPU itself; what the CPU needs to launch kernels counts where the GPU waits."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def timer() -> float:
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    return timer

"""ONNX Runtime on an NVIDIA GPU (CUDA execution provider). Its refusals are tested; it met no GPU yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from hwtickets import files
from hwtickets.errors import DeviceError
from hwtickets.runtimes.clocks import WALL_CLOCK, Timer, timed
from hwtickets.runtimes.onnxruntime import Array, create_session, session_options
from hwtickets.runtimes.precision import at_precision

if TYPE_CHECKING:
    from hwtickets.runtimes.bench import Model
    from hwtickets.runtimes.profiling import NodeTime

_NAME = "CUDAExecutionProvider"
#: fp32 is fp32: tensor cores do not round to TF32. cuDNN measures its kernels instead of guessing.
_PROVIDER = (_NAME, {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"})


class OnnxRuntimeCuda:
    """ONNX Runtime on this machine's GPU; see `Runtime`.

    Args:
        precision: "fp32" or "fp16".

    Raises:
        DeviceError: This ONNX Runtime was built without CUDA.
    """

    gpu = True

    def __init__(self, precision: str) -> None:
        if _NAME not in ort.get_available_providers():
            raise DeviceError(
                f"this ONNX Runtime has no {_NAME} (only {', '.join(ort.get_available_providers())}); pip"
                " uninstall onnxruntime; pip install onnxruntime-gpu"
            )
        self._precision = precision
        # CUDA and cuDNN may be in wheels of their own, PyTorch's too, where the system does not look.
        preload = getattr(ort, "preload_dlls", None)
        if preload is not None:
            preload()

    def load(self, model: Model) -> CudaSession:
        """Builds a network and gets it ready to run.

        Raises:
            DeviceError: The driver or a library of CUDA does not answer.
        """
        session = create_session(at_precision(model, self._precision), session_options(1), [_PROVIDER])
        # Where CUDA does not answer, ONNX Runtime goes on with the CPU and only warns.
        if _NAME not in session.get_providers():
            raise DeviceError(
                "ONNX Runtime cannot use the GPU: its driver, CUDA or cuDNN does not answer; install the"
                " versions that it wants: pip install 'onnxruntime-gpu[cuda,cudnn]'"
            )
        return CudaSession(session)

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int) -> dict[str, NodeTime]:
        """Times of the operators; see `times_in_a_process`."""
        return times_in_a_process(at_precision(model, self._precision), inputs, runs, [_PROVIDER])


class CudaSession:
    """A network that is ready to run on the GPU; made by `OnnxRuntimeCuda.load`.

    Attributes:
        clock: What its times are of: from the launch of the first kernel until the last one is done.
    """

    clock = WALL_CLOCK

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs for one set of inputs."""
        outputs: list[Array] = self._session.run(None, dict(inputs))
        return outputs

    def timer(self, inputs: Mapping[str, Array]) -> Timer:
        """A timer of runs on these inputs, which are on the GPU already, as the outputs stay there."""
        binding = self._session.io_binding()
        for name, values in inputs.items():
            placed = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), "cuda", 0)
            binding.bind_ortvalue_input(name, placed)
        for output in self._session.get_outputs():
            binding.bind_output(output.name, "cuda")

        def run() -> None:
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return timed(run, self.clock)


def times_in_a_process(
    model: bytes, inputs: Mapping[str, Array], runs: int, providers: Sequence[Any]
) -> dict[str, NodeTime]:
    """Times of the operators that are executed, from a process of its own.

    Kernels are launched and go on by themselves: what the runtime's profile holds is the launch. Where CUDA
    was started with CUDA_LAUNCH_BLOCKING=1, every launch waits for its kernel, and the time is that of both.

    Args:
        model: A serialized ONNX model.
        inputs: What it is run on.
        runs: Runs that count.
        providers: What computes.

    Raises:
        DeviceError: The process failed.
    """
    from hwtickets.runtimes.profiling import NodeTime

    with tempfile.TemporaryDirectory(prefix="hwtickets-") as name:
        folder = Path(name)
        files.write_bytes(folder / "model.onnx", model)
        np.savez(folder / "inputs.npz", **inputs)  # type: ignore[arg-type]
        files.write_json(folder / "asked.json", {"runs": runs, "providers": list(providers)})
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(folder)],
            env={**os.environ, "CUDA_LAUNCH_BLOCKING": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = ([line for line in done.stderr.splitlines() if line.strip()] or ["no reason"])[-1]
            raise DeviceError(f"the profile of ONNX Runtime failed: {reason}")
        found = json.loads(done.stdout)
    return {node: NodeTime(*time) for node, time in found.items()}


def _main(folder: Path) -> None:
    from hwtickets.runtimes.profiling import node_times

    asked = files.read_json(folder / "asked.json", "request")
    with np.load(folder / "inputs.npz", allow_pickle=False) as archive:
        inputs = {name: archive[name] for name in archive.files}
    providers = [entry if isinstance(entry, str) else (entry[0], entry[1]) for entry in asked["providers"]]
    found = node_times(folder / "model.onnx", inputs, asked["runs"], providers=providers)
    print(json.dumps(found))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

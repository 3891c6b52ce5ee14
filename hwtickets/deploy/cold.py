"""What the first run of a network costs: measured in a process of its own that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes.bench import Model
from hwtickets.runtimes.onnxruntime import Array

_LIMIT_S = 3600
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class ColdStart:
    """The first run of a network.

    Attributes:
        load_ms: From the file to a network that is ready to run (parsing, building, compiling).
        first_ms: The first inference; it allocates, and compiles what was left for later.
        peak_bytes: Most memory that the process ever held in RAM, the runtime's own included; memory of a
            discrete GPU is not. None where the system does not tell.
        runtime_bytes: What the process held before it loaded the network.
    """

    load_ms: float
    first_ms: float
    peak_bytes: int | None
    runtime_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        """The fields, JSON-able."""
        return asdict(self)


@runtime_checkable
class ColdBench(Protocol):
    """A bench that can start a network anew and watch it."""

    def cold_start(self, model: Model, inputs: Mapping[str, Array]) -> ColdStart:
        """The first run of a network there.

        Raises:
            DeviceError: It could not be measured; says why.
        """


def cold_start_here(profile: DeviceProfile, precision: str, model: Path, image: Array) -> ColdStart:
    """Loads and runs a network in a new process on this machine.

    Args:
        profile: A device that is this machine.
        precision: Of the network.
        model: The ONNX file.
        image: One input.

    Raises:
        DeviceError: The process failed; says why.
    """
    with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
        inputs = Path(folder) / "input.npy"
        np.save(inputs, image)
        asked = [profile.runtime, str(profile.threads), precision, str(model), str(inputs)]
        command = [sys.executable, "-m", "hwtickets.deploy.cold", *asked]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"the first run did not end within {_LIMIT_S} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"the process of the first run failed: {reason}")
    return ColdStart(**json.loads(done.stdout.splitlines()[-1]))


def measured(
    runtime: str, threads: int, precision: str, model: Path, inputs: Mapping[str, Array]
) -> ColdStart:
    """Measures in this process, which must not have run a network before; see `cold_start_here`."""
    from hwtickets.runtimes.runtime import local_runtime

    found = local_runtime(runtime, threads, precision)
    before = _status_bytes("VmRSS")
    begin_s = time.perf_counter()
    network = found.load(model)
    loaded_s = time.perf_counter()
    network.run(inputs)
    first_s = time.perf_counter()
    peak = _status_bytes("VmHWM")
    return ColdStart(1e3 * (loaded_s - begin_s), 1e3 * (first_s - loaded_s), peak, before)


def _status_bytes(field: str) -> int | None:
    """A size of this process as Linux knows it; the `ru_maxrss` of getrusage would count the parent's too."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{field}:")), None)
    return int(found[1]) * 1024 if found else None


def _main(arguments: list[str]) -> int:
    runtime, threads, precision, model, inputs = arguments
    try:
        image = np.load(inputs, allow_pickle=False)
        print(json.dumps(measured(runtime, int(threads), precision, Path(model), {"x": image}).as_dict()))
    except HwticketsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))

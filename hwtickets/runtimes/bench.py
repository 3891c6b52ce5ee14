"""A bench: a device that is ready to run and time networks, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.timing import Timing, time_interleaved

if TYPE_CHECKING:
    from hwtickets.power import EnergyPerRun, PowerMeter
    from hwtickets.runtimes.runtime import Runtime

#: The clocks of an idle GPU need this long to rise.
_GPU_WARMUP_S = 0.2
#: A serialized ONNX model, or the file that holds one.
Model = bytes | Path


class Bench(Protocol):
    """What measuring needs of a device; `hwtickets.devices.open_bench` makes one. A context manager.

    Attributes:
        fingerprint: What latencies measured here depend on, as `hwtickets.devices.fingerprint` gives it.
        boards: How many boards share the models of a call.
    """

    fingerprint: Mapping[str, str]
    boards: int

    def time(
        self,
        models: Mapping[str, Model],
        inputs: Mapping[str, Array],
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        """Times models side by side; see `time_interleaved` for the arguments.

        Raises:
            HwticketsError: A model cannot be loaded.
            DeviceError: The device cannot be reached or does not answer.
        """

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the operators that the runtime executes; see `hwtickets.runtimes.node_times`.

        Raises:
            NoProfileError: The runtime does not tell.
        """

    def run(self, model: Model, batches: Iterable[Mapping[str, Array]]) -> list[list[Array]]:
        """All outputs for each set of inputs."""

    def close(self) -> None:
        """Frees the device."""

    def __enter__(self) -> Bench: ...

    def __exit__(self, *failure: object) -> None: ...


@runtime_checkable
class MeteredBench(Protocol):
    """A bench that can look for a sensor of energy."""

    def sensor(self) -> str:
        """Name of the sensor.

        Raises:
            NoMeterError: None answers; says why.
        """

    def energy(self, model: Model, inputs: Mapping[str, Array]) -> EnergyPerRun:
        """Energy of one inference.

        Raises:
            NoMeterError: No sensor answers.
            DeviceError: The sensor stopped answering.
        """


class LocalBench:
    """A runtime in this process.

    Attributes:
        boards: One.

    Args:
        fingerprint: Of this machine.
        runtime: What computes.
        slowed_by: Tells what slowed this machine down, see `time_interleaved`; None where nothing tells.
    """

    boards = 1

    def __init__(
        self,
        fingerprint: Mapping[str, str],
        runtime: Runtime,
        slowed_by: Callable[[], str] | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self._runtime, self._slowed_by = runtime, slowed_by
        self._meter: PowerMeter | None = None

    def time(
        self,
        models: Mapping[str, Model],
        inputs: Mapping[str, Array],
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        """Times models side by side; see `time_interleaved` for the arguments."""
        sessions = {name: self._runtime.load(model) for name, model in models.items()}
        warmup_s = _GPU_WARMUP_S if self._runtime.gpu else 0.0
        return time_interleaved(sessions, inputs, runs, warmup, seconds, warmup_s, self._slowed_by)

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the operators that the runtime executes; see `Runtime.node_times`."""
        return self._runtime.node_times(model, inputs, runs)

    def run(self, model: Model, batches: Iterable[Mapping[str, Array]]) -> list[list[Array]]:
        """All outputs for each set of inputs."""
        session = self._runtime.load(model)
        return [session.run(inputs) for inputs in batches]

    def sensor(self) -> str:
        """Name of this machine's sensor; one that answers."""
        return self._found_meter().name

    def energy(self, model: Model, inputs: Mapping[str, Array]) -> EnergyPerRun:
        """Energy of one inference; see `energy_per_run`."""
        from hwtickets.power import energy_per_run

        meter, run = self._found_meter(), self._runtime.load(model).timer(inputs)
        return energy_per_run(run, meter)

    def _found_meter(self) -> PowerMeter:
        from hwtickets.power import find_meter

        # What a discrete GPU takes says nothing of a network on the CPU.
        self._meter = self._meter or find_meter("this machine", gpu=self._runtime.gpu)
        return self._meter

    def close(self) -> None:
        """Nothing is held between two calls."""

    def __enter__(self) -> LocalBench:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

"""A bench: a device that is ready to run and time networks, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hwtickets.runtimes.onnxruntime import Array, load
from hwtickets.runtimes.profiling import NodeTime, node_times
from hwtickets.runtimes.timing import Timing, time_interleaved

if TYPE_CHECKING:
    from hwtickets.power import EnergyPerRun, PowerMeter

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
        """Times of the operators that the runtime executes; see `hwtickets.runtimes.node_times`."""

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
    """ONNX Runtime in this process.

    Attributes:
        boards: One.

    Args:
        fingerprint: Of this machine.
        threads: Threads to compute with.
    """

    boards = 1

    def __init__(self, fingerprint: Mapping[str, str], threads: int) -> None:
        self.fingerprint = fingerprint
        self._threads = threads
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
        sessions = {name: load(model, self._threads) for name, model in models.items()}
        return time_interleaved(sessions, inputs, runs, warmup, seconds)

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the operators that the runtime executes; see `hwtickets.runtimes.node_times`."""
        return node_times(model, inputs, runs, self._threads)

    def run(self, model: Model, batches: Iterable[Mapping[str, Array]]) -> list[list[Array]]:
        """All outputs for each set of inputs."""
        session = load(model, self._threads)
        return [session.run(inputs) for inputs in batches]

    def sensor(self) -> str:
        """Name of this machine's sensor; one that answers."""
        return self._found_meter().name

    def energy(self, model: Model, inputs: Mapping[str, Array]) -> EnergyPerRun:
        """Energy of one inference; see `energy_per_run`."""
        from hwtickets.power import energy_per_run

        meter, session = self._found_meter(), load(model, self._threads)
        return energy_per_run(lambda: session.run(inputs), meter)

    def _found_meter(self) -> PowerMeter:
        from hwtickets.power import find_meter

        # ONNX Runtime computes on the CPU here: what a discrete GPU takes says nothing.
        self._meter = self._meter or find_meter("this machine", gpu=False)
        return self._meter

    def close(self) -> None:
        """Nothing is held between two calls."""

    def __enter__(self) -> LocalBench:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

"""A bench: a device that is ready to run and time networks, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from hwtickets.runtimes.onnxruntime import Array, load
from hwtickets.runtimes.profiling import NodeTime, node_times
from hwtickets.runtimes.timing import Timing, time_interleaved

#: A serialized ONNX model, or the file that holds one.
Model = bytes | Path


class Bench(Protocol):
    """What measuring needs of a device; `hwtickets.devices.open_bench` makes one. A context manager.

    Attributes:
        fingerprint: What latencies measured here depend on, as `hwtickets.devices.fingerprint` gives it.
    """

    fingerprint: Mapping[str, str]

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


class LocalBench:
    """ONNX Runtime in this process.

    Args:
        fingerprint: Of this machine.
        threads: Threads to compute with.
    """

    def __init__(self, fingerprint: Mapping[str, str], threads: int) -> None:
        self.fingerprint = fingerprint
        self._threads = threads

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

    def close(self) -> None:
        """Nothing is held between two calls."""

    def __enter__(self) -> LocalBench:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

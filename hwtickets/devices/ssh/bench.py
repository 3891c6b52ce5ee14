"""Measuring on a board through its agent, which runs the networks in ONNX Runtime."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.ssh.client import AgentClient
from hwtickets.devices.ssh.facts import clocks_mhz
from hwtickets.errors import DeviceError
from hwtickets.files import sha256_of
from hwtickets.power import EnergyPerRun, NoMeterError
from hwtickets.power.rails import whole_module
from hwtickets.power.samples import energy_of_samples
from hwtickets.runtimes.bench import Model
from hwtickets.runtimes.half import require_safe_in_half
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.precision import at_precision
from hwtickets.runtimes.profiling import WARMUP_RUNS, NodeTime, trimmed, with_gelus_named
from hwtickets.runtimes.timing import Timing

if TYPE_CHECKING:
    from hwtickets.deploy.cold import ColdStart

#: TensorRT tries out kernels for minutes when it first sees a network.
LIMIT_S = 3600.0
_ENERGY_S, _READING_S = 3.0, 0.005
_RAILS_LIMIT_S = 20.0


class AgentBench:
    """A board whose agent runs the networks itself.

    Attributes:
        boards: One.

    Args:
        agent: Of the board, which it holds; is closed with the bench.
        profile: The device.
        precision: Of the networks.
        fingerprint: What latencies measured here depend on.
        power_rails: Names of the board's power sensors.
    """

    boards = 1

    def __init__(
        self,
        agent: AgentClient,
        profile: DeviceProfile,
        precision: str,
        fingerprint: Mapping[str, str],
        power_rails: Sequence[str],
    ) -> None:
        self.fingerprint = fingerprint
        self._agent = agent
        self._precision = precision
        self._name, self._power_rails = profile.name, power_rails
        self._sensor: tuple[str, tuple[str, ...]] | None = None
        self._spec: dict[str, Any] = {"runtime": profile.runtime, "threads": profile.threads}

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
            DeviceError: The board cannot be reached, or throttled most of the time.
            HwticketsError: A model cannot be loaded there.
        """
        contents = {name: self._content(model) for name, model in models.items()}
        self._prepare(contents.values())
        found = self._ask(
            "time",
            contents.values(),
            inputs,
            models={name: sha256_of(content) for name, content in contents.items()},
            runs=runs,
            warmup=warmup,
            seconds=seconds,
        )
        clocks = tuple(clocks_mhz(texts) for texts in found["clocks"])
        return {
            name: Timing(samples_ms, found["clock"], found["discarded"], clocks)
            for name, samples_ms in found["samples_ms"].items()
        }

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the operators that the runtime executes; see `hwtickets.runtimes.node_times`."""
        content = self._content(model)
        found = self._ask("profile", [content], inputs, model=sha256_of(content), runs=runs + WARMUP_RUNS)
        times_ms = self._trimmed_ms(found["nodes"])
        return with_gelus_named(
            content, {name: NodeTime(kind, times_ms[name]) for name, kind, _ in found["nodes"]}
        )

    def run(self, model: Model, batches: Iterable[Mapping[str, Array]]) -> list[list[Array]]:
        """All outputs for each set of inputs."""
        content = self._content(model)
        return [
            [
                _unpacked(tensor)
                for tensor in self._ask("run", [content], inputs, model=sha256_of(content))["outputs"]
            ]
            for inputs in batches
        ]

    def sensor(self) -> str:
        """The sensor of the whole board, and its rails.

        Raises:
            NoMeterError: It has neither INA3221 nor tegrastats, or their rails are not known to add up.
        """
        name, rails = self._found_sensor()
        return f"{name} {' + '.join(rails)}"

    def _found_sensor(self) -> tuple[str, tuple[str, ...]]:
        if self._sensor is None:
            rails = whole_module(self._power_rails)
            self._sensor = ("INA3221", rails) if rails else ("tegrastats", self._printed_rails())
        return self._sensor

    def _printed_rails(self) -> tuple[str, ...]:
        """The rails of the whole board that tegrastats prints, which knows some that sysfs does not show."""
        printed: list[str] = []
        reason = "no power sensor was found (looked for INA3221 in sysfs)"
        try:
            printed = self._agent.call("rails", _RAILS_LIMIT_S, sensor="tegrastats")["rails"]
        except DeviceError as error:
            reason += f"; {error}"
        rails, known = whole_module(printed), sorted({*self._power_rails, *printed})
        if known and not rails:
            reason = f"its rails ({', '.join(known)}) are not known to add up to the whole board"
        if not rails:
            raise NoMeterError(self._name, reason)
        return rails

    def energy(self, model: Model, inputs: Mapping[str, Array]) -> EnergyPerRun:
        """Energy of one inference: the board's sensors, idle and while the model runs back to back.

        Raises:
            NoMeterError: No sensor answers.
        """
        sensor, _ = self._found_sensor()
        content = self._content(model)
        samples = self._ask(
            "power",
            [content],
            inputs,
            model=sha256_of(content),
            sensor=sensor,
            seconds=_ENERGY_S,
            interval_s=_READING_S,
        )
        return replace(energy_of_samples(self._name, samples), sensor=self.sensor())

    def cold_start(self, model: Model, inputs: Mapping[str, Array]) -> ColdStart:
        """The first run of a network in the agent; the runtime is there, an engine is built before."""
        from hwtickets.deploy.cold import ColdStart

        content = self._content(model)
        self._prepare([content])
        return ColdStart(**self._ask("cold", [content], inputs, model=sha256_of(content)))

    def close(self) -> None:
        """Gives the board back."""
        self._agent.close()

    def __enter__(self) -> AgentBench:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _prepare(self, contents: Iterable[bytes]) -> None:
        """Gets networks ready to be timed; ONNX Runtime needs nothing for it."""

    def _trimmed_ms(self, nodes: Sequence[Sequence[Any]]) -> dict[str, float]:
        return {name: trimmed(times_us) / 1e3 for name, _, times_us in nodes}

    def _content(self, model: Model) -> bytes:
        content = at_precision(model, self._precision)
        if self._spec["runtime"] == "onnxruntime":
            # The process that it would end is the agent's.
            require_safe_in_half(content)
        return content

    def _ask(
        self, operation: str, contents: Iterable[bytes], inputs: Mapping[str, Array], **fields: object
    ) -> dict[str, Any]:
        packed = {name: _packed(values) for name, values in inputs.items()}
        return self._agent.call(operation, LIMIT_S, contents, spec=self._spec, inputs=packed, **fields)


def _packed(values: Array) -> dict[str, Any]:
    return {
        "dtype": str(values.dtype),
        "shape": list(values.shape),
        "data": base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii"),
    }


def _unpacked(tensor: Mapping[str, Any]) -> Array:
    data = base64.b64decode(tensor["data"])
    return np.frombuffer(data, dtype=np.dtype(tensor["dtype"])).reshape(tensor["shape"])

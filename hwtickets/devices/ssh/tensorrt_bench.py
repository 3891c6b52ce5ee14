"""Measuring with TensorRT's Python module, through the agent: on a board, or in a process of its own here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.ssh.bench import LIMIT_S, AgentBench
from hwtickets.devices.ssh.client import AgentClient
from hwtickets.files import sha256_of
from hwtickets.power import EnergyPerRun
from hwtickets.runtimes.bench import Model
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.profiling import WARMUP_RUNS, NodeTime
from hwtickets.runtimes.tensorrt_layers import by_first_node, engine_layers
from hwtickets.runtimes.tensorrt_record import BuiltEngine, EngineRecord, EngineSettings
from hwtickets.runtimes.to_build import ToBuild


class TensorRTBench(AgentBench):
    """A device whose agent builds and runs engines; arguments as of `AgentBench`."""

    def __init__(
        self,
        agent: AgentClient,
        profile: DeviceProfile,
        precision: str,
        fingerprint: Mapping[str, str],
        power_rails: Iterable[str] = (),
    ) -> None:
        super().__init__(agent, profile, precision, fingerprint, tuple(power_rails))
        self._settings = EngineSettings(precision, dla=profile.dla, workspace_mb=profile.workspace_mb)
        self._spec |= {"runtime": "tensorrt", **asdict(self._settings)}

    def engine(self, model: Model, settings: EngineSettings | None = None) -> BuiltEngine:
        """Builds an engine with TensorRT's Python module; see `EngineBench`."""
        content, settings = self._content(model), settings or self._settings
        spec, sha256 = {**self._spec, **asdict(settings)}, sha256_of(content)
        found = self._built(content, spec)
        record = EngineRecord.built(sha256, settings, found["record"], found["record"]["layers"])
        return BuiltEngine(record, self._agent)

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the layers, each under the name of its first ONNX node."""
        content = self._content(model)
        found = self._ask("profile", [content], inputs, model=sha256_of(content), runs=runs + WARMUP_RUNS)
        return by_first_node(self._trimmed_ms(found["nodes"]), engine_layers(found["layers"]))

    def energy(self, model: Model, inputs: Mapping[str, Array]) -> EnergyPerRun:
        """Energy of one inference; the engine is built before the sensors are read."""
        self._prepare([self._content(model)])
        return super().energy(model, inputs)

    def _prepare(self, contents: Iterable[bytes]) -> None:
        """Has the engines built one by one, so that a lost connection costs one of them at most."""
        for content in contents:
            self._built(content, self._spec)

    def _built(self, content: bytes, spec: Mapping[str, Any]) -> dict[str, Any]:
        """What the agent says of a model's engine, built if it is not there."""
        sha256, anew = sha256_of(content), ToBuild.of(content).anew
        return self._agent.call("build", LIMIT_S, [content], spec=spec, model=sha256, anew=anew)

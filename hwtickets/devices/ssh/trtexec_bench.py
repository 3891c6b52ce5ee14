"""Measuring on a board with its own trtexec. Not measured on a board yet: commands and parsers are tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hwtickets.devices.ssh.client import AgentClient
from hwtickets.devices.ssh.facts import clocks_mhz
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.files import sha256_of
from hwtickets.runtimes import trtexec, trtexec_output
from hwtickets.runtimes.bench import Model
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.precision import at_precision
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.tensorrt_forms import with_nearest_form
from hwtickets.runtimes.tensorrt_record import (
    BuiltEngine,
    EngineRecord,
    EngineSettings,
    engine_key,
    plain_version,
)
from hwtickets.runtimes.timing import Timing
from hwtickets.runtimes.to_build import ToBuild

_ROUNDS = 3
_FEWEST_ITERATIONS = 10
_HELP_LIMIT_S = 120.0
_BUILD_LIMIT_S = 3600.0
_RUN_LIMIT_S = 600.0
#: The agent itself needs a moment on top of what it runs.
_AGENT_S = 60.0
_MOST_DISAGREEMENT = 0.05


class TrtexecBench:
    """A board with trtexec: engines are built there once, every run is one process.

    Attributes:
        boards: One.

    Args:
        agent: Of the board, which it holds; is closed with the bench.
        name: Of the device, for messages.
        settings: What engines are built with where nothing else is asked, the networks' precision included.
        fingerprint: What latencies measured here depend on; the timing options in force are added.
    """

    boards = 1

    def __init__(
        self, agent: AgentClient, name: str, settings: EngineSettings, fingerprint: Mapping[str, str]
    ) -> None:
        self._agent, self._name, self._settings = agent, name, settings
        self._offered = self._asked()
        self.fingerprint: Mapping[str, str] = {
            **fingerprint,
            "trtexec": self._offered.version,
            "timing": trtexec.described(self._offered),
        }

    def time(
        self,
        models: Mapping[str, Model],
        inputs: Mapping[str, Array],
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        """Times models in three rounds that alternate their order, with random inputs.

        Args:
            models: Networks by name.
            inputs: Their shapes count where a network leaves its batch open; trtexec makes its own values.
            runs: Timed runs of each network.
            warmup: Not used: trtexec warms up for 200 ms.
            seconds: Not used: most of the time goes into starting trtexec.
        """
        plans = {name: self._plan(model) for name, model in models.items()}
        iterations = max(_FEWEST_ITERATIONS, -(-runs // _ROUNDS))
        samples_ms: dict[str, list[float]] = {name: [] for name in models}
        discarded, clocks = 0, []
        for turn in range(_ROUNDS):
            names = list(plans) if turn % 2 else list(reversed(list(plans)))
            found = {name: self._timed(*plans[name], inputs, iterations) for name in names}
            clocks += [texts for done in found.values() for texts in done["clocks"]]
            if any(done["throttled"] for done in found.values()):
                discarded += iterations
                continue
            for name, done in found.items():
                samples_ms[name] += done["samples_ms"]
        if discarded == _ROUNDS * iterations:
            raise self._distrust("the board throttled in every round; cool it, or lower its power mode")
        around = (clocks_mhz(clocks[0]), clocks_mhz(clocks[-1]))
        return {
            name: Timing(values, trtexec_output.clock(found[name]["printed"]), discarded, around)
            for name, values in samples_ms.items()
        }

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the layers, each under the name of its first ONNX node."""
        plan, free = self._plan(model)
        sizes = _shapes(inputs) if free else {}
        arguments = trtexec.profile_arguments(self._offered, runs, self._settings.dla, sizes)
        files = self._passed(arguments, _RUN_LIMIT_S, plan=plan)["files"]
        return trtexec_output.node_times(files["profile"], files["layers"])

    def run(self, model: Model, batches: Iterable[Mapping[str, Array]]) -> list[list[Array]]:
        """All outputs for each set of inputs, to the six digits that trtexec prints."""
        plan, free = self._plan(model)
        names = ToBuild.of(at_precision(model, self._settings.precision)).outputs
        return [self._outputs(plan, free, inputs, names) for inputs in batches]

    def close(self) -> None:
        """Gives the board back."""
        self._agent.close()

    def __enter__(self) -> TrtexecBench:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def engine(self, model: Model, settings: EngineSettings | None = None) -> BuiltEngine:
        """Builds an engine with trtexec; see `EngineBench`."""
        content, settings = at_precision(model, self._settings.precision), settings or self._settings
        asked = ToBuild.of(content)
        arguments = trtexec.build_arguments(self._offered, settings, asked)
        if settings.dla and "--allowGPUFallback" not in arguments:
            raise self._distrust("this trtexec has no DLA; build for the GPU")
        if settings.dla and asked.free:
            raise self._distrust("a DLA needs a fixed batch; export without --dynamic-batch")
        version, gpu = self._offered.version, self._agent.facts().gpu
        plan = engine_key(sha256_of(content), version, gpu, arguments)
        done = self._passed(
            arguments, _BUILD_LIMIT_S, {"model": content}, plan=plan, makes_plan=True, version=version
        )
        known = done["timings_known"] and not asked.anew
        found = {
            "key": plan,
            "module": "trtexec",
            "version": plain_version(version),
            "flags": trtexec.flags_set(arguments),
            "strongly_typed": trtexec.strongly_typed(self._offered, settings.dla),
            "targets": [],
            "batches": trtexec.BATCHES if asked.free else None,
            "placed": trtexec_output.placed(done["printed"]),
            "timing_cache": "used" if known else "begun",
            "memory_bytes": None,
            "log": trtexec_output.notes(done["printed"]),
            **{name: done[name] for name in ("gpu", "sha256", "size_bytes", "seconds")},
        }
        record = EngineRecord.built(sha256_of(content), settings, found, done["files"].get("layers"))
        return BuiltEngine(record, self._agent)

    def _asked(self) -> trtexec.Offered:
        done = self._execute(["--help"], _HELP_LIMIT_S)
        if done["code"] != 0:
            reason = trtexec_output.failure(done["printed"])
            raise self._distrust(
                f"trtexec does not start there ({reason}); install TensorRT again, or add the device with"
                " another --runtime"
            )
        return trtexec.Offered.parsed(done["printed"])

    def _plan(self, model: Model) -> tuple[str, bool]:
        """The name of a model's engine, built on the board if it is not there; whether its batch is open."""
        record = self.engine(model).record
        return record.key, record.batches is not None

    def _timed(self, plan: str, free: bool, inputs: Mapping[str, Array], iterations: int) -> dict[str, Any]:
        """One run of trtexec: "samples_ms", "throttled", and "clocks" before and after."""
        sizes = _shapes(inputs) if free else {}
        arguments = trtexec.timing_arguments(self._offered, iterations, self._settings.dla, sizes)
        done = self._passed(arguments, _RUN_LIMIT_S, plan=plan)
        values = trtexec_output.sample_times_ms(done["files"]["times"])
        self._require_trust(values, done["printed"])
        if len(values) < iterations:
            raise self._distrust(f"trtexec made {len(values)} runs instead of {iterations}")
        return {**done, "samples_ms": values[:iterations]}

    def _require_trust(self, values_ms: Sequence[float], printed: str) -> None:
        """Its own account must agree with its files and with what was asked of it."""
        said = trtexec_output.options_in_force(printed)
        for name, wanted in trtexec.in_force(self._settings.dla).items():
            if said.get(name, wanted) != wanted:
                raise self._distrust(f"trtexec ran with '{name}: {said[name]}' instead of {wanted}")
        median_ms = trtexec_output.summary_ms(printed).get("median")
        if median_ms and abs(float(np.median(values_ms)) / median_ms - 1) > _MOST_DISAGREEMENT:
            raise self._distrust(f"the samples of trtexec lack the median of {median_ms} ms that it prints")

    def _outputs(
        self, plan: str, free: bool, inputs: Mapping[str, Array], names: Sequence[str]
    ) -> list[Array]:
        contents = {
            f"input{index}": trtexec.as_bound(self._offered, values).tobytes()
            for index, values in enumerate(inputs.values())
        }
        sizes = _shapes(inputs) if free else {}
        arguments = trtexec.run_arguments(list(inputs), self._settings.dla, sizes)
        done = self._passed(arguments, _RUN_LIMIT_S, contents, plan=plan)
        found = trtexec_output.outputs(done["files"]["output"])
        if set(found) != set(names):
            wrote, wanted = ", ".join(found), ", ".join(names)
            raise self._distrust(f"trtexec wrote the outputs {wrote}; the network has {wanted}")
        return [found[name] for name in names]

    def _distrust(self, reason: str) -> DeviceError:
        return DeviceError(f"device {self._name}: {reason}")

    def _passed(
        self,
        arguments: Sequence[str],
        limit_s: float,
        contents: Mapping[str, bytes] | None = None,
        **fields: object,
    ) -> dict[str, Any]:
        done = self._execute(arguments, limit_s, contents, **fields)
        if done["code"] == 0:
            return done
        text = f"device {self._name}: trtexec failed (exit code {done['code']})"
        step = trtexec_output.step_on_board(done["code"], done["printed"])
        reason = trtexec_output.failure(done["printed"])
        if step is not None:
            raise DeviceError(f"{text}: {reason}; {step}")
        if "model" not in (contents or {}):
            raise DeviceError(
                f"{text}: {reason}; have its engine built again, and look at dmesg on the board"
            )
        raise HwticketsError(with_nearest_form(f"{text}: {reason}"))

    def _execute(
        self,
        arguments: Sequence[str],
        limit_s: float,
        contents: Mapping[str, bytes] | None = None,
        **fields: object,
    ) -> dict[str, Any]:
        contents = contents or {}
        files = {name: sha256_of(content) for name, content in contents.items()}
        return self._agent.call(
            "trtexec",
            limit_s + _AGENT_S,
            contents.values(),
            arguments=list(arguments),
            program_limit_s=limit_s,
            files=files,
            **fields,
        )


def _shapes(inputs: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in inputs.items()}

"""The record of an engine: the same whether TensorRT's Python module built it or a board's trtexec."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hwtickets.runtimes.tensorrt_layers import EngineLayer, Placement, SparsityLog, engine_layers

if TYPE_CHECKING:
    from hwtickets.runtimes.bench import Model

#: Of the sidecar, and of the way trtexec is made to build: engines of before are built anew.
SCHEMA, _BUILD = 1, 2
_AHEAD = "not measured: built ahead of time without a GPU; the GPU it comes to compiles it when it is loaded"
_BUILT = "built on the GPU that it is for"


@dataclass(frozen=True)
class EngineSettings:
    """What is asked of the builder.

    Attributes:
        precision: Of the network; where networks can be strongly typed, the graph has it.
        sparse: Whether kernels for 2:4 weights are tried; the faster kernel wins either way.
        dla: Whether layers go to the deep-learning accelerator, the others to the GPU.
        workspace_mb: What kernels may use besides weights and activations; None for all there is.
    """

    precision: str = "fp32"
    sparse: bool = True
    dla: bool = False
    workspace_mb: int | None = None


@dataclass(frozen=True)
class EngineRecord:
    """What is known of an engine; its sidecar.

    Attributes:
        key: Stands for everything that makes the engine invalid when it changes: model, TensorRT's version,
            name and compute capability of the GPU, precision and settings, and the builder's other options.
        model_sha256: Of the ONNX model.
        sha256: Of the engine.
        size_bytes: Of the engine.
        builder: "tensorrt", "tensorrt_rtx" or "trtexec".
        version: Of TensorRT, e.g. "10.3.0".
        gpu: "name" and "compute_capability" of the GPU it was built on; None for one built without.
        targets: Compute capabilities that it was built for without a GPU.
        settings: What was asked.
        flags: What was set, by TensorRT's names.
        strongly_typed: Whether the graph alone decides the precision.
        batches: Smallest, usual and largest batch; None where it is fixed.
        dla: What the builder's log says of the accelerator; None where it was not asked for.
        timing_cache: "used", "begun", or "none".
        seconds: That the build took.
        memory_bytes: Of the GPU for activations and kernels, besides the weights; None where the builder does
            not tell (trtexec), or no GPU could read the engine.
        layers: What the inspector says; None where no GPU could read the engine.
        sparsity: What the log says of 2:4 weights; None where it says nothing.
        log: Warnings, and what the log says of sparsity.
    """

    key: str
    model_sha256: str
    sha256: str
    size_bytes: int
    builder: str
    version: str
    gpu: Mapping[str, str] | None
    targets: tuple[str, ...]
    settings: EngineSettings
    flags: tuple[str, ...]
    strongly_typed: bool
    batches: tuple[int, ...] | None
    dla: Placement | None
    timing_cache: str
    seconds: float
    memory_bytes: int | None
    layers: tuple[EngineLayer, ...] | None
    sparsity: SparsityLog | None
    log: tuple[str, ...]

    @property
    def measurable(self) -> bool:
        """Whether it was built on the GPU that it is for."""
        return self.gpu is not None

    @property
    def runtime(self) -> str:
        """TensorRT and its version in three numbers, e.g. "TensorRT 10.3.0"."""
        name = "TensorRT-RTX" if self.builder == "tensorrt_rtx" else "TensorRT"
        return f"{name} {plain_version(self.version)}"

    @staticmethod
    def built(
        model_sha256: str, settings: EngineSettings, found: Mapping[str, Any], layers: str | None
    ) -> EngineRecord:
        """A record from what a builder answered.

        Args:
            model_sha256: Of the ONNX model.
            settings: What was asked.
            found: The builder's answer: "module", "version", "gpu" and the other fields by their names here;
                "placed" are the lines of its log that `dla` is read from.
            layers: The inspector's JSON.
        """
        log = tuple(found["log"])
        values = {name: found[name] for name in _AS_ANSWERED}
        return EngineRecord(
            model_sha256=model_sha256,
            builder=found["module"],
            version=found["version"],
            targets=tuple(found["targets"]),
            settings=settings,
            flags=tuple(found["flags"]),
            strongly_typed=found["strongly_typed"],
            batches=tuple(found["batches"]) if found["batches"] else None,
            dla=Placement.parsed(found["placed"]) if settings.dla else None,
            layers=None if layers is None else tuple(engine_layers(layers)),
            sparsity=SparsityLog.parsed(log),
            log=log,
            **values,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; layers say whether a sparse kernel runs."""
        values = {"schema": SCHEMA, "status": _BUILT if self.measurable else _AHEAD, **asdict(self)}
        if self.layers is not None:
            values["layers"] = [{**asdict(layer), "sparse": layer.sparse} for layer in self.layers]
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain


class EngineStore(Protocol):
    """Where engines are kept, by the keys of their records."""

    def fetch(self, plan: str) -> bytes:
        """The engine itself."""

    def replace(self, plan: str, engine: bytes) -> None:
        """Puts another engine of the same model in its place."""


@dataclass(frozen=True)
class BuiltEngine:
    """An engine where it was built.

    Attributes:
        record: What is known of it.
        store: Where it is kept.
    """

    record: EngineRecord
    store: EngineStore

    def read(self) -> bytes:
        """The engine itself."""
        return self.store.fetch(self.record.key)

    def replace(self, engine: bytes) -> None:
        """Has another engine of the same model run from now on."""
        self.store.replace(self.record.key, engine)


@runtime_checkable
class EngineBench(Protocol):
    """A bench that builds engines."""

    def engine(self, model: Model, settings: EngineSettings | None = None) -> BuiltEngine:
        """Builds an engine, unless one of the same key is there.

        Raises:
            HwticketsError: The model is damaged, or holds an operator that TensorRT refuses.
            DeviceError: The device cannot be reached, or cannot build what is asked.
        """


#: Fields that a record has as the builder answers them.
_AS_ANSWERED = ("key", "sha256", "size_bytes", "gpu", "timing_cache", "seconds", "memory_bytes")


def engine_key(
    model_sha256: str, version: str, gpu: Mapping[str, str] | None, arguments: Sequence[str]
) -> str:
    """A name for everything that an engine of trtexec depends on, 64 hexadecimal digits.

    Args:
        model_sha256: Of the ONNX model.
        version: Of TensorRT.
        gpu: Its name and compute capability.
        arguments: Of trtexec: settings and all other options.
    """
    parts = [_BUILD, model_sha256, plain_version(version), dict(gpu) if gpu else None, list(arguments)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def plain_version(text: str) -> str:
    """A version with its first three numbers; trtexec writes 10.3.0 as 100300 and 8.5.3 as 8503."""
    if re.fullmatch(r"\d{4,6}", text):
        number = int(text)
        minors = 10 if number < 10_000 else 100
        return f"{number // (100 * minors)}.{number // 100 % minors}.{number % 100}"
    found = re.search(r"\d+(?:\.\d+){1,2}", text)
    return found[0] if found else text

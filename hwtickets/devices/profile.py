"""Device profiles: a device, the runtime it is used with, and the widths that suit it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from hwtickets.devices.ssh.destination import checked_destination
from hwtickets.errors import UsageError
from hwtickets.sparsity.names import PatternName

#: Runtimes that build engines, and what a deep-learning accelerator (DLA) computes in.
_ENGINES = ("trtexec", "tensorrt")
_DLA_PRECISIONS = {"fp16", "int8"}


def _host(text: str) -> str:
    try:
        return checked_destination(text) if text else text
    except UsageError as error:
        raise ValueError(str(error)) from error


class DeviceProfile(BaseModel):
    """A device as the rest of the package sees it.

    Attributes:
        name: What the user calls it.
        description: One line for lists.
        connection: How it is reached; "local" is this machine, "none" a device that only a table describes.
        host: The destination given to ssh; "" for other connections. Ports, keys and jump hosts stay in
            ~/.ssh/config.
        python: Python on the far side of an ssh connection, a name or a path.
        runtime: The runtime that deployed networks run in: "onnxruntime", "trtexec" or "tensorrt" on a board,
            one of `hwtickets.devices.runtimes` on this machine.
        precisions: Precisions that can be deployed; the first is the one that is meant where none is named.
        alignment: Channels that the runtime computes at once; other widths cost as much as the next multiple
            or more.
        threads: Threads of the runtime.
        sensors: Sensors of power or energy; empty where none is known of.
        dla: Whether engines are for the deep-learning accelerator, with the GPU for the layers that it lacks.
        workspace_mb: What kernels of an engine may use of the GPU's memory besides weights and activations;
            None for all there is.
        dla_cores: Deep-learning accelerators beside the GPU; None where that is not known.
        sparse_tensor_cores: Whether 2:4 sparse weights can run faster; None where that is not known.
        sparse_patterns: Patterns of masked weights that were measured to run faster, e.g. ["2:4"]; where none
            was, no latency is credited to masks.
        sources: Where these facts come from, by field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    connection: Literal["local", "ssh", "none"] = "local"
    host: Annotated[str, AfterValidator(_host)] = ""
    python: str = "python3"
    runtime: str = "onnxruntime"
    precisions: tuple[str, ...] = ("fp32",)
    alignment: int = 8
    threads: int = 1
    sensors: tuple[str, ...] = ()
    dla: bool = False
    workspace_mb: Annotated[int, Field(ge=1)] | None = None
    dla_cores: int | None = None
    sparse_tensor_cores: bool | None = None
    sparse_patterns: tuple[PatternName, ...] = ()
    sources: dict[str, str] = {}

    @field_validator("sparse_patterns")
    @classmethod
    def _known(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if not patterns:
            return ()
        # Patterns need torch, a list of devices does not.
        from hwtickets.sparsity.patterns import build_granularity

        try:
            return tuple(build_granularity(pattern).name for pattern in patterns)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _reachable(self) -> DeviceProfile:
        if self.connection == "ssh" and not self.host:
            raise ValueError("an ssh connection needs a host")
        if self.dla and self.runtime not in _ENGINES:
            raise ValueError(f"{self.runtime} has no DLA; the runtimes that do are {', '.join(_ENGINES)}")
        if self.workspace_mb is not None and self.runtime not in _ENGINES:
            raise ValueError(
                f"{self.runtime} has no workspace; the runtimes that do are {', '.join(_ENGINES)}"
            )
        if self.dla and not set(self.precisions) <= _DLA_PRECISIONS:
            raise ValueError("a DLA computes in fp16 and int8 only")
        return self

    # The generated one would hash `sources`, which cannot be.
    def __hash__(self) -> int:
        return hash((self.name, self.connection, self.host, self.runtime, self.threads))

    @property
    def reached(self) -> str:
        """How to get at it, in words."""
        texts = {"local": "this machine", "ssh": f"board at {self.host}", "none": "table only: predicted"}
        return texts[self.connection]

    @property
    def table_precisions(self) -> tuple[str, ...]:
        """Precisions that a latency table of it can be of: its own, and what only a graph can be in."""
        from hwtickets.runtimes.capabilities import CAPABILITIES

        can = CAPABILITIES.get(self.runtime)
        # What a device builds its engines in is its profile's to say.
        added = can is not None and "int8" in can.graphs and self.runtime not in _ENGINES
        return (*self.precisions, *(("int8",) if added and "int8" not in self.precisions else ()))

    @property
    def measurable(self) -> bool:
        """Whether there is a device to measure on; else its latencies are predicted."""
        return self.connection != "none"

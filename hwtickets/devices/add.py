"""Adding a board: what is not said is asked of the board, if it can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwtickets.devices.hardware import ASKED, board_hardware
from hwtickets.devices.here import devices_here
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.registry import checked_name, load_profile, save_profile, user_device_names
from hwtickets.devices.ssh.client import AgentClient
from hwtickets.devices.ssh.destination import checked_destination
from hwtickets.devices.ssh.facts import BoardFacts
from hwtickets.errors import DeviceError, HwticketsError, UsageError, unknown

#: Those that networks can be measured in, the preferred first, and the precisions that they are good for.
_RUNTIMES = {"trtexec": ("fp32", "fp16"), "tensorrt": ("fp32", "fp16"), "onnxruntime": ("fp32",)}
_PRECISIONS = ("fp32", "fp16", "int8")
_DLA_PRECISIONS = ("fp16",)
#: Channels that a kernel computes at once: halves of tensor cores and floats of most vector units, and floats
#: of AVX-512.
_ALIGNMENT = 8
_ALIGNMENT_AVX512 = 16


@dataclass(frozen=True)
class Added:
    """A device that was written.

    Attributes:
        profile: What it is.
        path: Where it is written.
        unreached: Why the board could not be asked; empty if it was.
        replaced: Where the device of this name that was there before went; empty if there was none.
    """

    profile: DeviceProfile
    path: Path
    unreached: str
    replaced: str = ""


def add_device(
    name: str,
    host: str,
    runtime: str | None = None,
    precisions: Sequence[str] = (),
    python: str = "python3",
    threads: int = 1,
    dla: bool = False,
    workspace_mb: int | None = None,
) -> Added:
    """Writes the profile of a board; one of the user's own of that name is replaced.

    Args:
        name: What it will be called.
        host: Destination for ssh: `user@host`, or a name from ~/.ssh/config.
        runtime: "onnxruntime", "trtexec" or "tensorrt"; by default what the board has, the faster first.
        precisions: That networks will be deployed in; by default those that the runtime is good for.
        python: Python on the board, a name or a path.
        threads: Of the runtime.
        dla: Whether engines are for the board's deep-learning accelerator. It is a device of its own beside
            the board's GPU: latencies differ.
        workspace_mb: What kernels of an engine may use of the GPU's memory besides weights and activations;
            None for all there is.

    Raises:
        UsageError: A name is not known or not allowed, or the board is known to have no accelerator.
    """
    checked_destination(host)
    if checked_name(name) in devices_here():
        raise UsageError(f"'{name}' is this machine's own name; choose another one for the board")
    if runtime is not None and runtime not in _RUNTIMES:
        raise unknown("runtime", runtime, _RUNTIMES)
    for precision in precisions:
        if precision not in _PRECISIONS:
            raise unknown("precision", precision, _PRECISIONS)
    profile = DeviceProfile(
        name=name,
        description=f"board at {host}",
        connection="ssh",
        host=host,
        python=python,
        threads=threads,
    )
    facts, unreached = _asked(profile)
    given, runtime = runtime, runtime or _best_runtime(facts)
    hardware = _hardware(facts)
    alignment, hardware["sources"]["alignment"] = _alignment(runtime, facts)
    hardware["sources"]["runtime"] = _runtime_source(given, runtime, facts)
    values = {
        "runtime": runtime,
        "precisions": tuple(precisions) or (_DLA_PRECISIONS if dla else _RUNTIMES[runtime]),
        "dla": dla,
        "workspace_mb": workspace_mb,
        "description": f"{facts.model or facts.cpu} at {host}" if facts else profile.description,
        "alignment": alignment,
        **hardware,
    }
    if dla and values.get("dla_cores") == 0:
        raise UsageError(f"{facts.model if facts else name} has no DLA; add it without --dla")
    try:
        profile = DeviceProfile.model_validate({**profile.model_dump(), **values})
    except ValidationError as error:
        raise UsageError(f"device {name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    replaced = _host_before(name)
    return Added(profile, save_profile(profile), unreached, replaced)


def _host_before(name: str) -> str:
    if name not in user_device_names():
        return ""
    try:
        return load_profile(name).host
    except HwticketsError:
        return "a damaged file"


def _asked(profile: DeviceProfile) -> tuple[BoardFacts | None, str]:
    agent = AgentClient(profile)
    try:
        return agent.facts(), ""
    except DeviceError as error:
        return None, str(error)
    finally:
        agent.close()


def _hardware(facts: BoardFacts | None) -> dict[str, Any]:
    if facts is None:
        return {"sources": {}}
    return board_hardware(facts.model, facts.power_rails, (facts.gpu or {}).get("compute_capability"))


def _best_runtime(facts: BoardFacts | None) -> str:
    found = facts.runtimes if facts else {}
    return next((runtime for runtime in _RUNTIMES if runtime in found), "onnxruntime")


def _runtime_source(given: str | None, runtime: str, facts: BoardFacts | None) -> str:
    if facts is not None and runtime not in facts.runtimes:
        found = ", ".join(facts.runtimes) or "none"
        return f"not on the board when it was added; found: {found}"
    return "as given" if given else ASKED if facts else "the usual one; the board was not asked"


def _alignment(runtime: str, facts: BoardFacts | None) -> tuple[int, str]:
    """Channels, and where they are known from."""
    if runtime != "onnxruntime":
        return _ALIGNMENT, "tensor cores, half precision"
    if facts is None:
        return _ALIGNMENT, "the usual one; the board was not asked"
    wide = "avx512f" in facts.flags
    vector = f"vector unit with{'' if wide else 'out'} avx512f, {ASKED}"
    return _ALIGNMENT_AVX512 if wide else _ALIGNMENT, vector

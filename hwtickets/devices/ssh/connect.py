"""From the profile of a board to a bench on it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hwtickets.devices.fingerprint import decisive_flags
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.ssh.client import hold
from hwtickets.devices.ssh.facts import BoardFacts
from hwtickets.errors import DeviceError
from hwtickets.runtimes.tensorrt_record import EngineSettings

if TYPE_CHECKING:
    from hwtickets.runtimes.bench import Bench


def open_ssh_bench(profile: DeviceProfile, precision: str) -> Bench:
    """Reaches a board and takes it.

    Raises:
        DeviceError: It cannot be reached, lacks the runtime, or another client has it.
    """
    agent = hold(profile)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(agent.close)
        facts = agent.facts()
        found = board_fingerprint(profile, precision, facts)
        bench: Bench
        if profile.runtime == "trtexec":
            from hwtickets.devices.ssh.trtexec_bench import TrtexecBench

            settings = EngineSettings(precision, dla=profile.dla, workspace_mb=profile.workspace_mb)
            bench = TrtexecBench(agent, profile.name, settings, found)
        elif profile.runtime == "tensorrt":
            from hwtickets.devices.ssh.tensorrt_bench import TensorRTBench

            bench = TensorRTBench(agent, profile, precision, found, facts.power_rails)
        else:
            from hwtickets.devices.ssh.bench import AgentBench

            bench = AgentBench(agent, profile, precision, found, facts.power_rails)
        on_failure.pop_all()
    return bench


def board_fingerprint(profile: DeviceProfile, precision: str, facts: BoardFacts) -> dict[str, str]:
    """What latencies measured on a board depend on: the fields of every device, and the board's own.

    Raises:
        DeviceError: The board lacks the runtime.
    """
    if profile.runtime not in facts.runtimes:
        found = ", ".join(facts.runtimes) or "none"
        raise DeviceError(
            f"device {profile.name}: {profile.runtime} is missing on {profile.host or 'this machine'}"
            f" (found: {found});"
            f" {runtime_advice(profile)}"
        )
    return {
        "device": profile.name,
        "cpu": facts.cpu,
        "flags": decisive_flags(facts.flags),
        "cores": str(facts.cores),
        "os": facts.os,
        "python": facts.python,
        "runtime": f"{profile.runtime} {facts.runtimes[profile.runtime]}",
        "threads": str(profile.threads),
        "precision": precision,
        **facts.identity(),
        **_gpu(profile, facts),
    }


def _gpu(profile: DeviceProfile, facts: BoardFacts) -> dict[str, str]:
    """The GPU, where it is what computes, the accelerator, where that does, and what engines may use."""
    own = {"accelerator": "DLA, the GPU for what it lacks"} if profile.dla else {}
    if profile.workspace_mb is not None:
        own["workspace"] = f"{profile.workspace_mb} MB"
    if facts.gpu is None or profile.runtime == "onnxruntime":
        return own
    return {"gpu": f"{facts.gpu['name']} ({facts.gpu['compute_capability']})", **own}


def runtime_advice(profile: DeviceProfile) -> str:
    """How a missing runtime gets onto a board."""
    package = f"{profile.python} -m pip install onnxruntime"
    if profile.runtime != "onnxruntime":
        package = "on a Jetson: sudo apt install nvidia-jetpack"
    again = (
        f"hwtickets devices add {profile.name} --ssh {profile.host} --runtime NAME" if profile.host else ""
    )
    return f"install it there ({package})" + (f", or name another: {again}" if again else "")

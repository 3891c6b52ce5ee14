"""Whether a board is fit to be measured on now, and what to fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwtickets.devices.finding import Check
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.ssh.client import AgentClient
from hwtickets.devices.ssh.connect import runtime_advice
from hwtickets.devices.ssh.facts import BoardFacts

_MEMORY_NEEDED_MB = 500
_SWAP_BORNE_MB = 100
_DISK_NEEDED_MB = 1000
_HOT_C = 85.0


def check_board(profile: DeviceProfile) -> list[Check]:
    """Connects to a board and looks at what measurements depend on; what it does not tell is left out.

    Raises:
        DeviceError: It cannot be reached.
    """
    agent = AgentClient(profile)
    try:
        return board_checks(profile, agent.facts())
    finally:
        agent.close()


def board_checks(profile: DeviceProfile, facts: BoardFacts) -> list[Check]:
    """The findings about a board; see `check_board`."""
    looks: list[Callable[[DeviceProfile, BoardFacts], Check | None]] = [
        _board,
        _system,
        _runtime,
        _power_mode,
        _cpu_clock,
        _gpu_clock,
        _heat,
        _sensors,
        _load,
        _memory,
        _swap,
        _disk,
        _client,
    ]
    return [check for check in (look(profile, facts) for look in looks) if check is not None]


def _board(profile: DeviceProfile, facts: BoardFacts) -> Check:
    name = f"{facts.model}, " if facts.model else ""
    return Check("board", True, f"{name}{facts.cpu}, {facts.cores} cores")


def _system(profile: DeviceProfile, facts: BoardFacts) -> Check:
    versions = {"JetPack": facts.jetpack, "L4T": facts.l4t, "CUDA": facts.cuda, "Python": facts.python}
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return Check("system", True, f"{facts.os}, {known}")


def _runtime(profile: DeviceProfile, facts: BoardFacts) -> Check:
    found = ", ".join(f"{name} {version}" for name, version in facts.runtimes.items()) or "none"
    if profile.runtime in facts.runtimes:
        return Check("runtime", True, f"{profile.runtime} is used; found: {found}")
    return Check("runtime", False, f"{profile.runtime} is missing; found: {found}", runtime_advice(profile))


def _power_mode(profile: DeviceProfile, facts: BoardFacts) -> Check | None:
    if facts.power_mode is None:
        return None
    return Check(
        "power mode", True, f"{facts.power_mode}; a table holds for one mode (sudo nvpmodel -m N changes it)"
    )


def _cpu_clock(profile: DeviceProfile, facts: BoardFacts) -> Check | None:
    if not facts.governors:
        return None
    clocks = facts.clocks_mhz
    steady = facts.governors == ["performance"] or (
        "cpu" in clocks and clocks.get("cpu least") == clocks.get("cpu most")
    )
    detail = ", ".join(
        [
            *facts.governors,
            *([f"{clocks['cpu']} MHz of {clocks.get('cpu most', '?')}"] if "cpu" in clocks else []),
        ]
    )
    return Check("CPU clock", steady, detail, "" if steady else _steadied(facts))


def _gpu_clock(profile: DeviceProfile, facts: BoardFacts) -> Check | None:
    clocks = facts.clocks_mhz
    if "gpu" not in clocks or profile.runtime == "onnxruntime":
        return None
    steady = clocks.get("gpu least") == clocks.get("gpu most")
    detail = f"{clocks['gpu']} MHz of {clocks.get('gpu most', '?')}"
    return Check("GPU clock", steady, detail, "" if steady else _steadied(facts))


def _steadied(facts: BoardFacts) -> str:
    command = "sudo jetson_clocks" if facts.l4t else "sudo cpupower frequency-set -g performance"
    return f"{command}, for steady clocks"


def _heat(profile: DeviceProfile, facts: BoardFacts) -> Check | None:
    if facts.throttled:
        text = f"slowed down by {', '.join(facts.throttled)}"
        return Check(
            "heat", False, text, "cool the board, check its power supply, or choose a lower power mode"
        )
    if not facts.temperatures_c:
        return None
    zone, degrees_c = max(facts.temperatures_c.items(), key=lambda entry: entry[1])
    ok = degrees_c < _HOT_C
    return Check(
        "heat",
        ok,
        f"{degrees_c:.0f} degrees C at most ({zone})",
        "" if ok else "cool the board before measuring",
    )


def _sensors(profile: DeviceProfile, facts: BoardFacts) -> Check:
    none = "none in sysfs: tegrastats is asked" if facts.l4t else "none: energy is not available"
    return Check("power sensors", True, ", ".join(facts.power_rails) or none)


def _load(profile: DeviceProfile, facts: BoardFacts) -> Check:
    # The agent itself and what it asked for are a moment's work.
    ok = facts.load <= facts.cores / 2
    advice = (
        ""
        if ok
        else "other programs are running: close them; a desktop: sudo systemctl isolate multi-user.target"
    )
    return Check("load", ok, f"{facts.load:.1f} on {facts.cores} cores", advice)


def _memory(profile: DeviceProfile, facts: BoardFacts) -> Check | None:
    if facts.memory_free_mb is None:
        return None
    ok = facts.memory_free_mb >= _MEMORY_NEEDED_MB
    advice = "" if ok else f"free at least {_MEMORY_NEEDED_MB} MB, or measurements will include swapping"
    return Check("memory", ok, f"{facts.memory_free_mb} MB free", advice)


def _swap(profile: DeviceProfile, facts: BoardFacts) -> Check:
    ok = facts.swap_used_mb <= _SWAP_BORNE_MB
    advice = "" if ok else "close programs, then empty it: sudo swapoff -a && sudo swapon -a"
    return Check("swap", ok, f"{facts.swap_used_mb} MB in use", advice)


def _disk(profile: DeviceProfile, facts: BoardFacts) -> Check:
    ok = facts.disk_free_mb >= _DISK_NEEDED_MB
    advice = "" if ok else f"free at least {_DISK_NEEDED_MB} MB where ~/.cache/hwtickets-agent is"
    return Check("disk", ok, f"{facts.disk_free_mb} MB free", advice)


def _client(profile: DeviceProfile, facts: BoardFacts) -> Check:
    if facts.in_use_by is not None:
        advice = f"wait for it, or end it on the board: kill {facts.in_use_by.get('pid')}"
        return Check("client", False, f"in use by {_since(facts.in_use_by)}", advice)
    died = f"; {_since(facts.left_by)}, died, which freed it" if facts.left_by else ""
    return Check("client", True, f"nobody measures on it{died}")


def _since(client: Mapping[str, Any]) -> str:
    return f"{client.get('label', 'another client')} since {client.get('since', 'just now')}"

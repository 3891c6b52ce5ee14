"""What a board is and how it stands, read from the texts of its system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hwtickets.devices.processor import flags_in, model_in

#: JetPack by release of L4T, for boards whose package manager does not tell.
_JETPACKS = {"35": "5.1", "36.4": "6.1 or 6.2", "36.5": "6.2", "38.2": "7.0", "38.4": "7.1", "39.2": "7.2"}
_GPU = re.compile(r"gpu|g[abmpv]\d+b")


@dataclass(frozen=True)
class BoardFacts:
    """What a board is and how it stands now; None or empty where it does not tell.

    Attributes:
        model: e.g. "NVIDIA Jetson Orin Nano Developer Kit".
        cpu: Name of the processor.
        flags: Its instruction set extensions.
        cores: Their number.
        os: e.g. "Linux 5.15.148-tegra".
        python: Version.
        l4t: Release of Linux for Tegra, e.g. "36.4.3".
        jetpack: e.g. "6.2".
        cuda: Version.
        gpu: "name" and "compute_capability" of the first one.
        power_mode: e.g. "MAXN".
        runtimes: Version by name of those that were found.
        governors: Of the CPU, each once.
        clocks_mhz: "cpu", "cpu least", "cpu most", "gpu", "gpu least", "gpu most"; of the fastest core.
        temperatures_c: By thermal zone.
        throttled: What slows the board down now.
        power_rails: Names of the power sensors.
        load: Mean number of running programs over the last minute.
        memory_free_mb: What programs can still have.
        swap_used_mb: What has been moved to the disk or compressed.
        disk_free_mb: Where models and engines are kept.
        in_use_by: Who measures on the board now, and since when.
        left_by: Who had it last and died of it.
    """

    model: str | None
    cpu: str
    flags: frozenset[str]
    cores: int
    os: str
    python: str
    l4t: str | None
    jetpack: str | None
    cuda: str | None
    gpu: dict[str, str] | None
    power_mode: str | None
    runtimes: dict[str, str]
    governors: list[str]
    clocks_mhz: dict[str, int]
    temperatures_c: dict[str, float]
    throttled: list[str]
    power_rails: list[str]
    load: float
    memory_free_mb: int | None
    swap_used_mb: int
    disk_free_mb: int
    in_use_by: dict[str, Any] | None
    left_by: dict[str, Any] | None

    @staticmethod
    def parsed(answer: Mapping[str, Any]) -> BoardFacts:
        """The facts in an agent's answer."""
        files: Mapping[str, str] = answer["files"]
        cpuinfo = files.get("/proc/cpuinfo", "")
        memory_mb = _memory_mb(files.get("/proc/meminfo", ""))
        l4t = _l4t(files.get("/etc/nv_tegra_release", ""))
        return BoardFacts(
            model=files.get("/proc/device-tree/model", "").strip("\0 ") or None,
            cpu=model_in(cpuinfo) or answer["machine"],
            flags=flags_in(cpuinfo),
            cores=answer["cores"],
            os=f"{answer['system']} {answer['release']}",
            python=answer["python"],
            l4t=l4t,
            jetpack=answer["packages"].get("nvidia-jetpack") or _jetpack(l4t),
            cuda=_found(
                r'"cuda"\s*:\s*\{[^}]*?"version"\s*:\s*"([\d.]+)"', files.get("/usr/local/cuda/version.json")
            ),
            gpu=answer.get("gpu"),
            power_mode=_found(r"Power Mode:\s*(\S+)", answer["nvpmodel"]),
            runtimes=_runtimes(answer["runtimes"], answer["packages"]),
            governors=sorted({text for path, text in files.items() if path.endswith("scaling_governor")}),
            clocks_mhz=clocks_mhz(answer["clocks"]),
            temperatures_c=_temperatures_c(files),
            throttled=answer["throttled"],
            power_rails=answer["power_rails"],
            load=answer["load"],
            memory_free_mb=memory_mb.get("MemAvailable"),
            swap_used_mb=memory_mb.get("SwapTotal", 0) - memory_mb.get("SwapFree", 0),
            disk_free_mb=answer["disk_free_bytes"] // 1_000_000,
            in_use_by=answer["in_use_by"],
            left_by=answer["left_by"],
        )

    def identity(self) -> dict[str, str]:
        """What latencies on the board depend on, besides the processor: board, system, power mode."""
        known = {
            "board": self.model,
            "l4t": self.l4t,
            "jetpack": self.jetpack,
            "cuda": self.cuda,
            "power_mode": self.power_mode,
        }
        return {key: value for key, value in known.items() if value is not None}

    def changes(self, later: BoardFacts) -> list[str]:
        """What has changed about the board so that latencies may have, e.g. "power_mode: MAXN -> 15W"."""
        was, now = ({**facts.identity(), **facts.runtimes, "cpu": facts.cpu} for facts in (self, later))
        return [
            f"{key}: {was.get(key, 'unknown')} -> {now.get(key, 'unknown')}"
            for key in {**was, **now}
            if was.get(key) != now.get(key)
        ]


def clocks_mhz(texts: Mapping[str, str]) -> dict[str, int]:
    """Clocks in the texts of sysfs: of the CPU's fastest core, and of the GPU; keys as in `BoardFacts`."""
    found: dict[str, int] = {}
    for path, text in texts.items():
        unit = PurePosixPath(path).parent.name
        gpu = _GPU.search(unit) is not None
        if not (gpu or unit == "cpufreq") or not text.isdigit():
            continue
        kind = next((word for part, word in (("min", " least"), ("max", " most")) if part in path), "")
        key = f"{'gpu' if gpu else 'cpu'}{kind}"
        found[key] = max(found.get(key, 0), round(int(text) / (1e6 if gpu else 1e3)))
    return found


def _runtimes(found: Mapping[str, str], packages: Mapping[str, str]) -> dict[str, str]:
    """Versions by runtime; trtexec has that of the library that it runs."""
    libraries = [version for name, version in packages.items() if "nvinfer" in name]
    library = max(libraries, key=_numbers, default=None)
    version = (library or found.get("tensorrt") or "of an unknown version").partition("-")[0]
    return {**found, **({"trtexec": version} if "trtexec" in found else {})}


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("-")[0])]


def _temperatures_c(files: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for path, text in files.items():
        if "thermal_zone" in path and path.endswith("/temp") and text.lstrip("-").isdigit():
            name = files.get(f"{path.removesuffix('temp')}type", path)
            found[name] = int(text) / 1000
    return found


def _memory_mb(text: str) -> dict[str, int]:
    return {key: int(kb) // 1000 for key, kb in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}


def _l4t(text: str) -> str | None:
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


def _jetpack(l4t: str | None) -> str | None:
    return next((name for release, name in _JETPACKS.items() if f"{l4t}.".startswith(f"{release}.")), None)


def _found(pattern: str, text: str | None) -> str | None:
    match = re.search(pattern, text or "")
    return match[1] if match else None

"""Fingerprints: what a latency depends on besides the network."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Collection, Mapping

from hwtickets.devices.gpu import driver_version, gpu_model
from hwtickets.devices.processor import cpu_flags, cpu_model
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.runtimes import LOCAL_RUNTIMES, runtime_version

#: Extensions that the kernels of CPU runtimes choose by.
_FLAGS_OF_INTEREST = (
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "asimd",
    "asimddp",
    "sve",
)
#: Latencies are comparable where these agree; the other fields are kept for the reader.
_DECISIVE = ("device", "cpu", "flags", "runtime", "threads", "precision")
#: Only boards, or networks on a GPU or an accelerator, have these.
_DECISIVE_OF_SOME = (
    "board",
    "l4t",
    "power_mode",
    "gpu",
    "accelerator",
    "workspace",
    "driver",
    "trtexec",
    "timing",
)


def fingerprint(profile: DeviceProfile, precision: str = "fp32") -> dict[str, str]:
    """Everything that a latency measured now on this device depends on, as readable texts."""
    return {
        "device": profile.name,
        "cpu": cpu_model(),
        "flags": decisive_flags(cpu_flags()),
        "cores": str(os.cpu_count()),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "runtime": f"{profile.runtime} {runtime_version(profile.runtime)}",
        "threads": str(profile.threads),
        "precision": precision,
        **_gpu(profile),
    }


def _gpu(profile: DeviceProfile) -> dict[str, str]:
    known = LOCAL_RUNTIMES.get(profile.runtime)
    if known is None or not known.gpu:
        return {}
    return {"gpu": gpu_model() or "none", "driver": driver_version() or "unknown"}


def decisive_flags(flags: Collection[str]) -> str:
    """Those of a processor's extensions that kernels choose by."""
    return " ".join(flag for flag in _FLAGS_OF_INTEREST if flag in flags)


def fingerprint_id(found: Mapping[str, str]) -> str:
    """A short name of a fingerprint; equal where latencies are comparable."""
    decisive = [found.get(key, "") for key in _DECISIVE]
    decisive += [f"{key} {found[key]}" for key in _DECISIVE_OF_SOME if key in found]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:10]


def decisive(found: Mapping[str, str]) -> dict[str, str]:
    """The part of a fingerprint that must agree for latencies to be comparable."""
    return {key: value for key, value in found.items() if key in (*_DECISIVE, *_DECISIVE_OF_SOME)}


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """What differs between two fingerprints, one readable line a field, e.g. "runtime: a 1.2 -> a 1.3"."""
    keys = [*one, *(key for key in other if key not in one)]
    return [
        f"{key}: {one.get(key, 'unknown')} -> {other.get(key, 'unknown')}"
        for key in keys
        if one.get(key) != other.get(key)
    ]

"""From a device's profile to the device itself."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hwtickets.devices.fingerprint import fingerprint
from hwtickets.devices.pace import slowing_watch
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.runtimes import lacking
from hwtickets.errors import DeviceError, unknown

if TYPE_CHECKING:
    from hwtickets.runtimes.bench import Bench


_PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def open_bench(profile: DeviceProfile, precision: str = "fp32") -> Bench:
    """Reaches a device and gets it ready to measure; close it, or use it in a `with` statement.

    Args:
        profile: The device.
        precision: Of the networks that will be measured.

    Raises:
        UsageError: No device has such a precision.
        DeviceError: There is no way to the device, or it cannot be measured.
    """
    if precision not in _PRECISIONS:
        raise unknown("precision", precision, profile.table_precisions)
    if not profile.measurable:
        raise DeviceError(
            f"device {profile.name} is only known from a table: nothing can be measured on it; add your"
            " board: hwtickets devices add NAME --ssh user@host"
        )
    if precision not in profile.table_precisions:
        raise DeviceError(
            f"device {profile.name} cannot be measured at {precision}, only at"
            f" {', '.join(profile.table_precisions)}"
        )
    # TensorRT is driven by the same agent here as on a board.
    if _by_agent(profile):
        from hwtickets.devices.ssh.connect import open_ssh_bench

        return open_ssh_bench(profile, precision)
    return _local_bench(profile, precision)


@functools.lru_cache(maxsize=32)
def device_fingerprint(profile: DeviceProfile, precision: str = "fp32") -> Mapping[str, str]:
    """The fingerprint of a device as it is now; asked of the device once in a process."""
    if profile.connection == "local" and not _by_agent(profile):
        return fingerprint(profile, precision)
    with open_bench(profile, precision) as bench:
        return bench.fingerprint


def _by_agent(profile: DeviceProfile) -> bool:
    """Whether an agent measures, on a board or in a process of its own on this machine."""
    return profile.connection == "ssh" or profile.runtime in ("tensorrt", "trtexec")


def _local_bench(profile: DeviceProfile, precision: str) -> Bench:
    lack = lacking(profile.runtime)
    if lack is not None:
        raise DeviceError(f"device {profile.name} cannot be measured here: {lack.reason}; {lack.advice}")
    from hwtickets.runtimes.bench import LocalBench
    from hwtickets.runtimes.runtime import local_runtime

    # An 8-bit graph is one in a runtime of any precision.
    opened_at = precision if precision in profile.precisions else profile.precisions[0]
    runtime = local_runtime(profile.runtime, profile.threads, opened_at)
    return LocalBench(fingerprint(profile, precision), runtime, slowing_watch(runtime.gpu))

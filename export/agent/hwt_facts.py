"""What the board is and how it stands."""

import contextlib
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys

from hwt_clocks import CLOCK_FILES, throttling
from hwt_cuda import gpu
from hwt_files import read_text, texts
from hwt_power import power_rails
from hwt_trtexec import find_trtexec

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    sys.exit("hwtickets-agent: Python 3.8 or later is needed, this is " + platform.python_version())

#: What the client reads a board's facts from.
SYSTEM_FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/device-tree/model",
    "/etc/nv_tegra_release",
    "/usr/local/cuda/version.json",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
)
PACKAGES = ("nvidia-jetpack", "libnvinfer8", "libnvinfer10", "libnvinfer11")


def facts(folder):
    """What the board is and how it stands; `folder` is the cache's."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "disk_free_bytes": shutil.disk_usage(folder).free,
        "files": texts(SYSTEM_FILES),
        "clocks": texts(CLOCK_FILES),
        "packages": packages(),
        "gpu": gpu(),
        "runtimes": {name: version for name, version in runtimes().items() if version},
        "nvpmodel": power_mode(),
        "throttled": throttling()[0],
        "power_rails": [label for label, _ in power_rails()],
    }


def packages():
    """Versions of what the system's package manager installed."""
    found = {}
    for entry in (read_text("/var/lib/dpkg/status") or "").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", entry, re.MULTILINE))
        if fields.get("Package") in PACKAGES and fields.get("Status") == "install ok installed":
            found[fields["Package"]] = fields.get("Version")
    return found


def runtimes():
    """Versions of the runtimes; the path of trtexec."""
    return {
        "onnxruntime": package_version("onnxruntime"),
        "tensorrt": tensorrt_version(),
        "trtexec": find_trtexec(),
    }


def tensorrt_version():
    """Version of the Python module, or None; where there is no GPU, TensorRT-RTX builds but does not run."""
    own = package_version("tensorrt")
    if own or gpu() is None:
        return own
    rtx = package_version("tensorrt_rtx")
    return rtx and "RTX " + rtx


def package_version(name):
    """Version of a Python package, or None."""
    for distribution in (name, name + "-gpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    try:
        return importlib.import_module(name).__version__
    except Exception:  # A broken installation fails in ways of its own.
        return None


def power_mode():
    """What a Jetson says of its power mode, or None."""
    # A shell without a login may lack the administrator's programs on its PATH.
    program = shutil.which("nvpmodel") or "/usr/sbin/nvpmodel"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([program, "-q"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        return done.stdout.decode("utf-8", "replace")
    return None

"""This machine as devices: one for each runtime that networks can be run in on it."""

from __future__ import annotations

import functools
import os

from hwtickets.devices.gpu import gpu_model
from hwtickets.devices.processor import cpu_flags, cpu_model
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.runtimes import LOCAL_RUNTIMES, LocalRuntime, lacking

#: Channels that tensor cores compute at once in half precision.
_ALIGNMENT_GPU = 8


@functools.cache
def devices_here() -> dict[str, DeviceProfile]:
    """The devices that this machine is, by name; "cpu" first. Those that lack something say so."""
    made = [_profile(runtime, known) for runtime, known in LOCAL_RUNTIMES.items()]
    return {device.name: device for device in made}


def _profile(runtime: str, known: LocalRuntime) -> DeviceProfile:
    lack = lacking(runtime)
    hardware = gpu_model() if known.gpu else f"{cpu_model()}, {os.cpu_count()} cores"
    title = f"{hardware or 'NVIDIA GPU'}; {known.title}"
    alignment, source = (_ALIGNMENT_GPU, "tensor cores, half precision") if known.gpu else _cpu_alignment()
    return DeviceProfile(
        name=known.device,
        description=f"{title} (not here: {lack.reason})" if lack else title,
        runtime=runtime,
        precisions=_precisions(runtime, known),
        alignment=alignment,
        sources={"alignment": source},
    )


def _precisions(runtime: str, known: LocalRuntime) -> tuple[str, ...]:
    if known.gpu:
        return ("fp32", "fp16") if runtime.startswith("onnxruntime") else ("fp32", "fp16", "bf16")
    if runtime == "openvino" and {"avx512_bf16", "amx_bf16"} & cpu_flags():
        return ("fp32", "bf16")
    return ("fp32",)


def _cpu_alignment() -> tuple[int, str]:
    # Runtimes block channels by the width of the vector unit: 16 floats with AVX-512, 8 with AVX2. Measured
    # in ONNX Runtime: one channel more than a multiple costs up to 37 % in a dense convolution and 3.5 times
    # in a depthwise one.
    wide = "avx512f" in cpu_flags()
    return 16 if wide else 8, f"vector unit with{'' if wide else 'out'} avx512f (/proc/cpuinfo)"

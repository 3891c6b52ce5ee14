"""Runtimes that networks can be run in on this machine, and what each of them needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import NamedTuple

from hwtickets.devices.gpu import gpu_model


@dataclass(frozen=True)
class LocalRuntime:
    """A runtime on this machine.

    Attributes:
        device: Name of the built-in device that stands for it.
        title: What it is, in words.
        packages: Those that it may come in; latencies depend on the version.
        module: What is imported of it.
        install: How it gets here.
        gpu: Whether it needs an NVIDIA GPU.
        compiler: Whether it needs a C++ compiler.
    """

    device: str
    title: str
    packages: tuple[str, ...]
    module: str
    install: str
    gpu: bool = False
    compiler: bool = False


_TORCH = (("torch",), "torch", "pip install torch")
#: By the name that profiles and tables call them.
LOCAL_RUNTIMES = {
    "onnxruntime": LocalRuntime(
        "cpu",
        "ONNX Runtime",
        ("onnxruntime", "onnxruntime-gpu"),
        "onnxruntime",
        "pip install onnxruntime",
    ),
    "openvino": LocalRuntime(
        "cpu-openvino", "OpenVINO", ("openvino",), "openvino", "pip install 'hwtickets[openvino]'"
    ),
    "pytorch": LocalRuntime("cpu-pytorch", "PyTorch, operator by operator", *_TORCH),
    "pytorch-compiled": LocalRuntime(
        "cpu-pytorch-compiled", "PyTorch, torch.compile", *_TORCH, compiler=True
    ),
    "onnxruntime-cuda": LocalRuntime(
        "gpu",
        "ONNX Runtime, CUDA",
        ("onnxruntime-gpu",),
        "onnxruntime",
        "pip uninstall onnxruntime; pip install onnxruntime-gpu",
        gpu=True,
    ),
    "pytorch-cuda": LocalRuntime("gpu-pytorch", "PyTorch, operator by operator", *_TORCH, gpu=True),
    "pytorch-cuda-compiled": LocalRuntime(
        "gpu-pytorch-compiled", "PyTorch, torch.compile", *_TORCH, gpu=True, compiler=True
    ),
    "pytorch-cuda-graphs": LocalRuntime("gpu-pytorch-graphs", "PyTorch, CUDA graph", *_TORCH, gpu=True),
}
_OTHER = "choose another device: hwtickets devices list"
_COMPILERS = ("g++", "clang++", "c++")


class Lack(NamedTuple):
    """Why a runtime cannot run here, and what to do about it."""

    reason: str
    advice: str


def lacking(runtime: str) -> Lack | None:
    """What a runtime lacks here; None if nothing is known to be missing.

    Args:
        runtime: Its name.
    """
    known = LOCAL_RUNTIMES.get(runtime)
    if known is None:
        return Lack(f"{runtime} does not run on this machine", _OTHER)
    if known.gpu and gpu_model() is None:
        return Lack("it needs an NVIDIA GPU, and there is none", _OTHER)
    if importlib.util.find_spec(known.module) is None:
        return Lack(f"{known.module} is not installed", known.install)
    if known.compiler and not _compiler():
        return Lack("torch.compile needs a C++ compiler, and there is none", "install g++, or set CXX")
    return None


def runtime_version(runtime: str) -> str:
    """The version that is installed, or that none is."""
    known = LOCAL_RUNTIMES.get(runtime)
    for package in known.packages if known else (runtime,):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def _compiler() -> str | None:
    given = os.environ.get("CXX")
    return shutil.which(given) if given else next(filter(None, map(shutil.which, _COMPILERS)), None)

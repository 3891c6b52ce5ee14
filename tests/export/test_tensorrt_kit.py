"""What of the kit for TensorRT can be tested without a board: it compiles, and it says what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwtickets.resources import resource_dir
from tests.export.conftest import one_line, run_program
from tests.export.toys import write_toy

CPP = resource_dir("export") / "tensorrt" / "cpp"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "bundle", "classification", kit="tensorrt")


def _folders(variable: str, *others: str) -> Iterator[Path]:
    for folder in (os.environ.get(variable), *others):
        if folder:
            yield from (
                Path(folder),
                Path(folder) / "include",
                Path(folder) / "targets/aarch64-linux/include",
            )


def _include(header: str, variable: str, *others: str) -> str:
    for folder in _folders(variable, "/usr", "/usr/include/aarch64-linux-gnu", *others):
        if (folder / header).is_file():
            return f"-isystem{folder}"
    pytest.skip(f"{header} is not installed: set {variable}")


def test_the_part_that_knows_tensorrt_compiles(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("c++ is not installed")
    includes = [
        _include("NvInfer.h", "TENSORRT_ROOT", "/usr/include/x86_64-linux-gnu"),
        _include("NvOnnxParser.h", "TENSORRT_ROOT", "/usr/include/x86_64-linux-gnu"),
        _include("cuda_runtime_api.h", "CUDA_HOME", "/usr/local/cuda"),
        f"-I{resource_dir('export') / 'common' / 'cpp'}",
    ]
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    done = run_program("c++", *flags, *includes, str(CPP / "network.cpp"), folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_without_headers_cmake_says_what_to_do(bundle: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    nothing = ["-DCMAKE_FIND_ROOT_PATH=/nowhere", "-DTENSORRT_ROOT=/nowhere"]
    nothing += [f"-DCMAKE_FIND_ROOT_PATH_MODE_{kind}=ONLY" for kind in ("INCLUDE", "LIBRARY")]
    done = run_program("cmake", "-S", "cpp", "-B", "build", *nothing, folder=bundle)
    assert done.returncode == 1
    assert "TENSORRT_INCLUDE_DIR was not found" in done.stderr and "-DTENSORRT_ROOT=" in done.stderr


def test_without_tensorrt_python_says_what_to_do(bundle: Path, boards: Callable[..., Path]) -> None:
    done = run_program(boards("numpy"), "run.py", "check", folder=bundle)
    assert "tensorrt is missing in" in one_line(done) and "install it" in done.stderr


@pytest.fixture
def rtx(boards: Callable[..., Path]) -> Path:
    """Python with TensorRT-RTX, which builds where there is no GPU."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed")
    if shutil.which("nvidia-smi"):
        pytest.skip("there may be a GPU here")
    return boards("numpy", "tensorrt_rtx", "tensorrt_rtx_libs", "tensorrt_rtx_bindings")


def test_without_a_gpu_python_says_so(bundle: Path, rtx: Path) -> None:
    done = run_program(rtx, "run.py", "check", folder=bundle)
    assert one_line(done).startswith("error: no GPU answers here")


def test_an_engine_is_built_once_for_a_model(bundle: Path, rtx: Path) -> None:
    script = "from network import *; from pathlib import Path; engine_of(Path('.'), {'precision': 'fp32'})"
    first, again = (run_program(rtx, "-c", script, folder=bundle) for _ in range(2))
    assert first.stdout.startswith("building an engine") and first.returncode == 0, first.stderr
    assert (again.stdout, again.returncode) == ("", 0), again.stderr
    shutil.copy(write_toy(bundle / "other", "segmentation") / "model.onnx", bundle / "model.onnx")
    assert run_program(rtx, "-c", script, folder=bundle).stdout.startswith("building an engine")

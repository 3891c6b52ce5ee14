"""What of the kit for TensorRT can be tested without a board: it compiles, and it says what is missing."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hwtickets.files import sha256_of
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
        f"-I{CPP}",
    ]
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    done = run_program("c++", *flags, *includes, str(CPP / "network.cpp"), folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., tuple[bool, dict[str, Any]]]:
    """Whether model.engine.json vouches for an engine of the model, and the record that would be written."""
    if shutil.which("c++") is None:
        pytest.skip("c++ is not installed")
    source = Path(__file__).with_name("engine_record.cpp")
    files = [str(source), *(str(CPP / name) for name in ("engine_record.cpp", "sha256.cpp"))]
    done = run_program(
        "c++", "-std=c++17", "-Wall", "-Werror", f"-I{CPP}", *files, "-o", "said", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr

    def ask(
        version: str = "100300", gpu: str = "Orin", capability: str = "87"
    ) -> tuple[bool, dict[str, Any]]:
        arguments = ["model.onnx", "model.engine.json", version, gpu, capability]
        done = run_program(tmp_path / "said", *arguments, folder=tmp_path)
        vouches, _, record = done.stdout.partition("\n")
        return vouches == "1", json.loads(record)

    return ask


def test_cpp_takes_an_engine_of_the_same_model_tensorrt_and_gpu_only(
    recorded: Callable[..., tuple[bool, dict[str, Any]]], tmp_path: Path
) -> None:
    model, beside = tmp_path / "model.onnx", tmp_path / "model.engine.json"
    for size in (0, 55, 56, 63, 64, 1000):
        model.write_bytes(bytes(range(256)) * 4 if size == 1000 else b"a" * size)
        vouches, record = recorded()
        # What the runner in Python compares.
        assert record == {
            "onnx_sha256": sha256_of(model),
            "runtime": "TensorRT 10.3.0",
            "gpu": {"name": "Orin", "compute_capability": "8.7"},
        }
        assert not vouches, "of the model before, or of none"
        beside.write_text(json.dumps({**record, "layers": None}, indent=2))
        assert recorded()[0]
    # An earlier file of another model: its time says nothing.
    assert not recorded("8502")[0] and not recorded(gpu="Orin NX")[0] and not recorded(capability="86")[0]
    os.utime(beside, (2e9, 2e9))
    model.write_bytes(b"another model")
    assert not recorded()[0]
    assert recorded("8502")[1]["runtime"] == "TensorRT 8.5.2"


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

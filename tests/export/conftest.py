from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from hwtickets.deploy.kit import kit_files
from hwtickets.files import sha256_of
from tests.deploy.conftest import ticket_folder  # noqa: F401
from tests.export.toys import write_toy

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["classification", "segmentation", "keypoints"])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bundle(task: str, tmp_path: Path) -> Path:
    """A bundle whose outputs can be told from the image without computing; see `toys`."""
    return write_toy(tmp_path / "bundle", task)


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Python programs of environments that hold the named packages and nothing else."""
    made: dict[tuple[str, ...], Path] = {}

    def board(*packages: str) -> Path:
        if packages not in made:
            folder = tmp_path_factory.mktemp("board")
            venv.create(folder, with_pip=False, symlinks=True)
            site = next(folder.glob("lib/python*/site-packages"))
            for package in packages:
                _link(package, site)
            made[packages] = folder / "bin" / "python"
        return made[packages]

    return board


def _link(package: str, site: Path) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent
    # Wheels keep their shared libraries beside the package, e.g. numpy.libs and pillow.libs.
    libraries = source.with_name({"PIL": "pillow"}.get(package, package) + ".libs")
    for path in (source, libraries):
        if path.exists():
            (site / path.name).symlink_to(path)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own with some kilobytes; `fill` takes the rest."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk of its own takes root: mount -t tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> list[Path]:
    """Leaves no room on a disk; the files that are on it."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return sorted(folder.iterdir())


@pytest.fixture
def python(bundle: Path, boards: Callable[..., Path]) -> Run:
    """Runs run.py of the bundle where there are neither torch nor hwtickets."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = boards("numpy", "onnxruntime", "PIL")
        return run_program(program, "run.py", *arguments, folder=bundle)

    return run


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ runner, built with its own CMakeLists.txt against the library of the Python package."""
    for program in ("cmake", "c++"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("cpp")
    for name, source in kit_files("onnxruntime", "classification").items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(source, folder / name)
    # The compiler's own optimisation takes most of the time, and none of it matters here.
    flags = ["-DCMAKE_CXX_FLAGS=-Werror", "-DCMAKE_BUILD_TYPE=Debug"]
    configured = run_program("cmake", "-S", "cpp", "-B", "build", *flags, folder=folder)
    if "onnxruntime_c_api.h was not found" in configured.stderr:
        pytest.skip("the headers of ONNX Runtime are not installed: set ONNXRUNTIME_ROOT")
    assert configured.returncode == 0, configured.stderr
    done = run_program("cmake", "--build", "build", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "runner"


@pytest.fixture
def cpp(bundle: Path, built: Path) -> Run:
    """Runs the C++ runner on the bundle."""

    def run(verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program(built, verb, ".", *arguments, folder=bundle)

    return run


def run_program(program: str | Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program in a folder; Python programs of this environment come first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(program), *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def one_line(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one line of an expected failure."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def framed(bundle: Path, share: float) -> str:
    """A white square in a black frame, and a bundle whose network saw this share of the shorter side."""
    pixels = np.zeros((16, 16), dtype=np.uint8)
    pixels[3:13, 3:13] = 255
    Image.fromarray(pixels).convert("RGB").save(bundle / "framed.ppm")
    facts = json.loads((bundle / "model.json").read_text())
    facts["preprocessing"]["crop_share"] = share
    (bundle / "model.json").write_text(json.dumps(facts))
    with (bundle / "model.txt").open("a") as file:
        file.write(f"crop_share {share}\n")
    return "framed.ppm"


def make_newer(bundle: Path) -> None:
    """Gives a bundle's network the format of a year to come."""
    proto = onnx.load(bundle / "model.onnx")
    proto.ir_version = 99
    (bundle / "model.onnx").write_bytes(proto.SerializeToString())
    facts = json.loads((bundle / "model.json").read_text())
    facts["onnx_sha256"] = sha256_of(bundle / "model.onnx")
    (bundle / "model.json").write_text(json.dumps(facts))

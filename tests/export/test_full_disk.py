"""On a real disk without room, nothing is left in part, and one line says where to make some."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwtickets.deploy.packed import pack_bundle
from hwtickets.resources import resource_dir
from tests.export.conftest import Run, fill, one_line, run_program
from tests.export.toys import write_toy

classification = pytest.mark.parametrize("task", ["classification"], indirect=True)
segmentation = pytest.mark.parametrize("task", ["segmentation"], indirect=True)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of the agent that write."""
    monkeypatch.syspath_prepend(str(resource_dir("export") / "agent"))
    import hwt_build  # type: ignore[import-not-found]
    import hwt_write  # type: ignore[import-not-found]

    yield SimpleNamespace(build=hwt_build, write=hwt_write)


def test_a_file_of_the_agent_is_whole_or_not_there(parts: Any, full_disk: Path) -> None:
    (full_disk / "plan").write_bytes(b"of before")
    before = fill(full_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        parts.write.write_bytes(str(full_disk / "plan"), bytes(100_000))
    said = parts.write.in_words(caught.value)
    assert said == f"{full_disk / 'plan'}: No space left on device; make room in {full_disk}"
    assert sorted(full_disk.iterdir()) == before
    assert (full_disk / "plan").read_bytes() == b"of before"


def test_times_of_kernels_are_whole_or_not_there(parts: Any, full_disk: Path) -> None:
    before = fill(full_disk)
    cache = SimpleNamespace(serialize=lambda: bytes(100_000))
    config = SimpleNamespace(
        create_timing_cache=lambda data: cache,
        set_timing_cache=lambda cache, ignore: True,
        get_timing_cache=lambda: cache,
    )
    with (
        pytest.raises(OSError, match="No space left"),
        parts.build.cached_timings(config, str(full_disk / "timings")),
    ):
        pass
    assert sorted(full_disk.iterdir()) == before


@classification
def test_outputs_that_the_runner_cannot_write(python: Run, full_disk: Path) -> None:
    _require_no_trace(python, full_disk)


@classification
def test_outputs_that_the_runner_in_cpp_cannot_write(cpp: Run, full_disk: Path) -> None:
    _require_no_trace(cpp, full_disk)


def _require_no_trace(run: Run, full_disk: Path) -> None:
    before = fill(full_disk)
    said = one_line(run("check", "--output", str(full_disk / "mine.npy")))
    assert f"{full_disk}/mine.npy: No space left on device; make room in {full_disk}\n" in said
    assert sorted(full_disk.iterdir()) == before


@segmentation
def test_a_map_of_classes_that_the_runner_cannot_write(python: Run, full_disk: Path) -> None:
    np.save(full_disk / "white.npy", np.full((16, 32), 255, dtype=np.uint8))
    before = fill(full_disk)
    said = one_line(python("predict", str(full_disk / "white.npy")))
    assert said.endswith(f"make room in {full_disk}\n")
    assert sorted(full_disk.iterdir()) == before


def test_a_packed_network_that_cannot_be_written(
    tmp_path: Path, full_disk: Path, boards: Callable[..., Path]
) -> None:
    bundle = write_toy(tmp_path / "bundle", "classification")
    pack_bundle(bundle)
    packed = full_disk / "model.onnx.npz"
    packed.write_bytes((bundle / "model.onnx.npz").read_bytes())
    before = fill(full_disk)
    done = run_program(boards("numpy"), "unpack.py", str(full_disk), folder=bundle)
    assert done.returncode == 1
    assert done.stderr == (
        f"unpack.py: {full_disk}/model.onnx: No space left on device; make room in {full_disk}\n"
    )
    assert sorted(full_disk.iterdir()) == before


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed")
def test_an_engine_that_cannot_be_written(
    tmp_path: Path, full_disk: Path, boards: Callable[..., Path]
) -> None:
    bundle = write_toy(tmp_path / "bundle", "classification", kit="tensorrt")
    (full_disk / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes())
    before = fill(full_disk)
    python = boards("numpy", "tensorrt_rtx", "tensorrt_rtx_libs", "tensorrt_rtx_bindings")
    script = f"from network import *; from pathlib import Path; engine_of(Path({str(full_disk)!r}), "
    done = run_program(python, "-c", script + "{'precision': 'fp32'})", folder=bundle)
    assert "No space left on device: '" + str(full_disk / "model.engine") in done.stderr
    assert sorted(full_disk.iterdir()) == before

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hwtickets.resources import resource_dir
from tests.export.conftest import one_line, run_program

SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)
FLOATS = arrays.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_nan=True))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of `npy_copy.cpp`, with every check that the compiler can add."""
    if shutil.which("c++") is None:
        pytest.skip("c++ is not installed")
    folder = tmp_path_factory.mktemp("npy")
    source = resource_dir("export") / "common" / "cpp"
    flags = [
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-D_GLIBCXX_ASSERTIONS",
    ]
    files = [str(Path(__file__).with_name("npy_copy.cpp")), f"{source}/npy.cpp", f"{source}/whole.cpp"]
    done = run_program("c++", *flags, f"-I{source}", *files, "-o", "copy", folder=folder)
    if "cannot find -lasan" in done.stderr or "libasan" in done.stderr:
        pytest.skip("the sanitizers of the compiler are not installed")
    assert done.returncode == 0, done.stderr
    return folder / "copy"


def _copied(copy: Path, data: bytes) -> tuple[subprocess.CompletedProcess[str], Path]:
    (copy.parent / "in.npy").write_bytes(data)
    (copy.parent / "out.npy").unlink(missing_ok=True)
    return run_program(copy, "in.npy", "out.npy", folder=copy.parent), copy.parent / "out.npy"


def _saved(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


@settings(max_examples=40, deadline=None)
@given(array=FLOATS, version=st.sampled_from([(1, 0), (2, 0), (3, 0)]))
def test_arrays_are_read_and_written_bit_by_bit(
    copy: Path, array: np.ndarray, version: tuple[int, int]
) -> None:
    done, written = _copied(copy, _saved(array, version))
    assert done.returncode == 0, done.stderr
    again = np.load(written)
    assert (again.shape, again.dtype) == (array.shape, array.dtype)
    assert again.tobytes() == np.ascontiguousarray(array).tobytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_one_line_and_never_a_crash(copy: Path, data: st.DataObject) -> None:
    whole = bytearray(_saved(np.arange(24, dtype=np.float32).reshape(2, 3, 4)))
    for _ in range(data.draw(st.integers(0, 4))):
        # The header: changed values are no damage.
        whole[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    done, written = _copied(copy, bytes(whole[:cut]))
    if done.returncode == 0:
        assert np.load(written).size == 24
    else:
        assert "in.npy" in one_line(done)
        assert not written.exists()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3)), "no float32"),
        (np.asfortranarray(np.zeros((2, 3), dtype=np.float32)), "not in C order"),
    ],
)
def test_arrays_of_another_kind_are_refused(copy: Path, array: np.ndarray, reason: str) -> None:
    assert reason in one_line(_copied(copy, _saved(array))[0])


def test_a_shape_that_overflows_is_refused(copy: Path) -> None:
    whole = _saved(np.zeros((2, 3), dtype=np.float32))
    huge = whole.replace(b"(2, 3), }" + b" " * 40, b"(4611686018427387904, 4, 4, 1), }" + b" " * 16)
    assert huge != whole
    assert "shape" in one_line(_copied(copy, huge)[0])
    wrapped = whole.replace(b"(2, 3), }" + b" " * 8, b"(65536, 65536), }")
    assert wrapped != whole
    one_line(_copied(copy, wrapped)[0])


def test_what_is_not_there_or_cannot_be_written_is_one_line(copy: Path) -> None:
    folder = copy.parent
    assert "cannot read none.npy" in one_line(run_program(copy, "none.npy", "out.npy", folder=folder))
    assert ". is damaged" in one_line(run_program(copy, ".", "out.npy", folder=folder))
    (folder / "in.npy").write_bytes(_saved(np.zeros(3, dtype=np.float32)))
    assert "cannot write no/out.npy" in one_line(run_program(copy, "in.npy", "no/out.npy", folder=folder))

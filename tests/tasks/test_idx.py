from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError
from hwtickets.tasks.idx import read_idx

IMAGES = arrays(np.uint8, st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 5)))


def encode(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@settings(max_examples=30, deadline=None)
@given(IMAGES)
def test_what_was_written_is_read(array: NDArray[np.uint8]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(encode(array)))
        np.testing.assert_array_equal(read_idx(path, 3), array)


@settings(max_examples=50, deadline=None)
@given(IMAGES, st.data())
def test_any_cut_is_noticed(array: NDArray[np.uint8], data: st.DataObject) -> None:
    content = encode(array)
    length = data.draw(st.integers(0, len(content) - 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(content[:length]))
        with pytest.raises(HwticketsError, match="images-idx3-ubyte"):
            read_idx(path, 3)

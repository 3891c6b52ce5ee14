"""IDX files: the gzipped arrays that MNIST and its relatives come in."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes.

    Args:
        path: A `*-ubyte.gz` file.
        dimensions: How many dimensions it must have: 3 for images, 1 for labels.

    Returns:
        Read-only uint8 array of the shape that the header gives.

    Raises:
        HwticketsError: The file is missing, damaged, or holds something else.
    """
    content = _decompress(path)
    header_bytes = 4 + 4 * dimensions
    if len(content) < header_bytes or content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        found, right = content[:4].hex() or "nothing", bytes([0, 0, UNSIGNED_BYTE, dimensions]).hex()
        raise HwticketsError(
            f"{path} is not the IDX file it should be: magic number {found}, expected {right}."
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected_bytes = int(np.prod(shape))
    if len(content) - header_bytes != expected_bytes:
        raise HwticketsError(
            f"{path} is damaged: its header promises {expected_bytes} bytes {shape}, "
            f"it holds {len(content) - header_bytes}; download it again."
        )
    return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(shape)


def _decompress(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read()
    except FileNotFoundError as error:
        raise HwticketsError(f"{path} is missing; put the original gz file there.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise HwticketsError(f"{path} is damaged ({error}); download it again.") from error

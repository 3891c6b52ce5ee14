"""The Python layout of CIFAR-10, read without running what a pickle asks for.

A pickle may name any function to be called. Here it gets three harmless stand-ins and nothing else, not even
NumPy's own classes: the arrays are rebuilt afterwards from the bytes that the stand-ins were given.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError


class _PickledType:
    """Stands for numpy.dtype; remembers the code that it was made from."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("latin-1") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment: one byte has neither."""


class _PickledArray:
    """Stands for numpy.ndarray; remembers what it would have been filled with."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def rebuild(self) -> NDArray[np.uint8]:
        """The array, read-only.

        Raises:
            ValueError: It holds anything but unsigned bytes in C order.
        """
        _, shape, kind, is_fortran, content = self.state
        if kind.code != "u1" or is_fortran:
            raise ValueError("its images are not unsigned bytes")
        pixels: NDArray[np.uint8] = np.frombuffer(content, np.uint8).reshape(shape)
        return pixels


def _encode(text: str, encoding: str) -> bytes:
    """Stands for _codecs.encode, by which Python 3 writes bytes in the old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding}")
    return text.encode("latin-1")


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledType,
    ("_codecs", "encode"): _encode,
}


class _ForbiddenNameError(Exception):
    """The pickle names something that image data has no use for."""


class _ImageUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _ForbiddenNameError(f"{module}.{name}") from None


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read `data_batch_1` or one of its siblings.

    Returns:
        Images uint8 (N, 3, 32, 32) and labels int64 (N,).

    Raises:
        HwticketsError: The file is missing, damaged, not such a batch, or names a class or function.
    """
    try:
        with path.open("rb") as file:
            content = _ImageUnpickler(file, encoding="bytes").load()
        named = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        images = named["data"].rebuild().reshape(-1, 3, 32, 32)
        labels = np.array(named["labels"], dtype=np.int64)
    except _ForbiddenNameError as error:
        raise HwticketsError(
            f"{path} was refused: its pickle asks for {error}, which image data never needs; "
            "nothing of it was run. Download CIFAR-10 again."
        ) from error
    except FileNotFoundError as error:
        raise HwticketsError(f"{path} is missing.") from error
    except Exception as error:  # A damaged pickle can fail in any way; it has run nothing but the stand-ins.
        raise HwticketsError(f"{path} is damaged or is not a CIFAR-10 batch; download it again.") from error
    if labels.shape != (len(images),):
        raise HwticketsError(
            f"{path} is damaged: {len(images)} images, labels {labels.shape}; download it again."
        )
    return images, labels

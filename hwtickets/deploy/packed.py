"""Weights with zeros as a smaller file: a bit for each, then what is not zero; exact both ways.

Masks buy size, not time: whatever runs the network unpacks it first. `export/packed/unpack.py` travels along.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from hwtickets import files
from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.errors import HwticketsError
from hwtickets.resources import resource_dir

MODEL, PACKED = "model.onnx", "model.onnx.npz"
#: What is smaller stays where it is.
_LEAST_BYTES = 1024
#: The bits of a number besides its sign: masked weights are -0 as often as 0.
_BUT_THE_SIGN = np.array([255, 255, 255, 127], np.uint8)
_TYPES = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.BFLOAT16: 2,
    onnx.TensorProto.INT8: 1,
}


@dataclass(frozen=True)
class PackedSize:
    """What packing made of a file.

    Attributes:
        size_bytes: Of the ONNX file.
        packed_bytes: Of the packed one.
    """

    size_bytes: int
    packed_bytes: int

    @property
    def ratio(self) -> float:
        """The packed file's share of the other."""
        return self.packed_bytes / self.size_bytes

    def __str__(self) -> str:
        return (
            f"{self.size_bytes / 1e6:.3f} MB as {self.packed_bytes / 1e6:.3f} MB ({100 * self.ratio:.1f} %)"
        )


def packed(model: bytes) -> bytes:
    """An ONNX file, packed.

    Every weight of 1 KB or more becomes a bit mask and the numbers that are not zero, their bytes ordered by
    place (the exponents of neighbouring weights are alike, so deflate finds something); all in an npz.

    Raises:
        HwticketsError: It is no ONNX, or keeps its weights elsewhere.
    """
    spans, rest, end = [], [], 0
    masks: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
    signs, values = ([np.zeros(0, np.uint8)] for _ in range(2))
    for offset, size, raw in _weights(model):
        numbers = np.frombuffer(raw, np.uint8).reshape(-1, size)
        kept: NDArray[np.bool_] = np.any(numbers & _BUT_THE_SIGN[-size:], axis=1)
        spans.append((offset, len(numbers), size))
        masks.append(kept)
        signs.append(numbers[~kept, -1] >> 7)
        values.append(numbers[kept].T.reshape(-1))
        rest.append(model[end:offset])
        end = offset + len(raw)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        sha256=np.array(files.sha256_of(model)),
        spans=np.array(spans, np.int64).reshape(-1, 3),
        rest=np.frombuffer(b"".join([*rest, model[end:]]), np.uint8),
        mask=np.packbits(np.concatenate(masks)),
        signs=np.packbits(np.concatenate(signs)),
        values=np.concatenate(values),
    )
    return buffer.getvalue()


def unpacked(data: bytes, name: str = "the packed model") -> bytes:
    """The ONNX file in a packed one.

    Raises:
        HwticketsError: It is damaged.
    """
    try:
        return _reader()(io.BytesIO(data))
    except ValueError as error:
        raise HwticketsError(f"{name} is damaged; copy or export it again") from error


def pack_bundle(folder: Path) -> PackedSize:
    """Replaces a bundle's `model.onnx` by `model.onnx.npz` and what unpacks it, `unpack.py`.

    Raises:
        HwticketsError: There is no model, or the folder cannot be written.
    """
    path = folder / MODEL
    with files.reading(path, "model"):
        model = path.read_bytes()
    data = packed(model)
    files.write_bytes(folder / PACKED, data)
    with files.atomic_path(folder / "unpack.py") as temporary:
        shutil.copyfile(_program(), temporary)
    with files.writing(path):
        path.unlink()
    return PackedSize(len(model), len(data))


def packed_size(folder: Path) -> PackedSize:
    """What packing made of a bundle's model.

    Raises:
        HwticketsError: It is not packed, or damaged.
    """
    path = folder / PACKED
    with files.reading(path, "packed model"):
        data = path.read_bytes()
    return PackedSize(len(unpacked(data, str(path))), len(data))


def unpack_bundle(folder: Path) -> None:
    """Writes a bundle's `model.onnx` again, if it is there in packed form only.

    Raises:
        HwticketsError: The packed model is damaged.
    """
    source, path = folder / PACKED, folder / MODEL
    if path.is_file() or not source.is_file():
        return
    with files.reading(source, "packed model"):
        data = source.read_bytes()
    files.write_bytes(path, unpacked(data, str(source)))


def _weights(model: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Offset, bytes a number and content of every large weight, in the order of the file."""
    end = 0
    for tensor in opened_onnx(model).graph.initializer:
        size = _TYPES.get(tensor.data_type)
        if size is None or len(tensor.raw_data) < _LEAST_BYTES:
            continue
        offset = model.find(tensor.raw_data, end)
        if offset >= 0:
            end = offset + len(tensor.raw_data)
            yield offset, size, tensor.raw_data


def _program() -> Path:
    return resource_dir("export") / "packed" / "unpack.py"


def _reader() -> Callable[[io.BytesIO], bytes]:
    """The reader that travels with bundles: there is no second one."""
    spec = importlib.util.spec_from_file_location("hwtickets_unpack", _program())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reader: Callable[[io.BytesIO], bytes] = module.unpacked
    return reader

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.datasets import load_dataset

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
LABELS = np.arange(20) % 10


def batch_images(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)


def write_binary(folder: Path) -> None:
    for index, name in enumerate(BATCHES):
        records = np.concatenate(
            [LABELS[:, None].astype(np.uint8), batch_images(index).reshape(20, -1)], axis=1
        )
        records.tofile(folder / f"{name}.bin")


def write_python(folder: Path, protocol: int = 2) -> None:
    for index, name in enumerate(BATCHES):
        content = {b"data": batch_images(index).reshape(20, -1), b"labels": LABELS.tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol))


def write_jpegs(folder: Path) -> None:
    arrays: dict[str, Any] = {}
    for part, count in (("train", 100), ("test", 20)):
        files = []
        for index in range(count):
            buffer = io.BytesIO()
            color = (25 * (index % 10), 100, 200)
            Image.new("RGB", (32, 32), color).save(buffer, "JPEG")
            files.append(buffer.getvalue())
        arrays[f"{part}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, files)])
        arrays[f"{part}_labels"] = (np.arange(count) % 10).astype(np.uint8)
    np.savez(folder / "cifar10_jpeg.npz", **arrays)


def load(folder: Path) -> Dataset:
    return load_dataset(f"cifar10:{folder}")


def images_of_test(dataset: Dataset) -> NDArray[np.uint8]:
    return dataset.test.batch(torch.arange(len(dataset.test))).numpy()


@pytest.mark.parametrize("write", [write_binary, write_python])
def test_published_layouts_give_the_same_images(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    dataset = load(tmp_path)
    assert torch.bincount(dataset.train.labels).tolist() == [9] * 10
    assert torch.bincount(dataset.validation.labels).tolist() == [1] * 10
    assert dataset.test.labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(images_of_test(dataset), batch_images(5))


def test_batch_as_python_2_wrote_it_is_read(tmp_path: Path) -> None:
    """The published files: text and bytes are one type there, and NumPy goes by its names of 2009."""
    write_python(tmp_path)
    images = batch_images(9)
    pixels = images.tobytes()
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x14M\x00\x0ct"
        + dtype
        + b"\x89T"
        + len(pixels).to_bytes(4, "little")
        + pixels
        + b"tb"
    )
    labels = b"(" + b"".join(bytes([ord("K"), label]) for label in LABELS) + b"l"
    (tmp_path / "test_batch").write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels" + labels + b"u.")
    dataset = load(tmp_path)
    np.testing.assert_array_equal(images_of_test(dataset), images)
    assert dataset.test.labels.tolist() == LABELS.tolist()


def test_jpeg_archive_is_decoded(tmp_path: Path) -> None:
    write_jpegs(tmp_path)
    dataset = load(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (90, 10, 20)
    assert (dataset.channels, dataset.resolution) == (3, 32)
    images = images_of_test(dataset).astype(int)
    red = 25 * np.arange(10)[:, None, None]
    assert np.abs(images[:10, 0] - red).max() <= 3
    assert np.abs(images[:, 2] - 200).max() <= 3


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_malicious_pickle_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    write_python(tmp_path)
    marker = tmp_path / "was-run"
    content = pickle.dumps({b"data": Malicious(marker), b"labels": LABELS.tolist()}, 2)
    (tmp_path / "data_batch_3").write_bytes(content)
    with pytest.raises(HwticketsError) as failure:
        load(tmp_path)
    assert "data_batch_3 was refused" in str(failure.value)
    assert ".system" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists(), "the pickle of this test must be one that does harm"


@pytest.mark.parametrize(
    "name", ["builtins eval", "builtins getattr", "numpy load", "numpy.core.multiarray scalar"]
)
def test_pickle_may_name_nothing_but_plain_arrays(tmp_path: Path, name: str) -> None:
    write_python(tmp_path)
    module, function = name.split()
    (tmp_path / "test_batch").write_bytes(f"c{module}\n{function}\n.".encode())
    with pytest.raises(HwticketsError, match=f"refused: its pickle asks for {module}.{function}"):
        load(tmp_path)


def test_array_of_python_objects_is_refused(tmp_path: Path) -> None:
    write_python(tmp_path)
    content = {b"data": np.array([[1, "x"]], dtype=object), b"labels": [0]}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(HwticketsError, match="test_batch is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 100, 5000])
def test_cut_pickle_is_named(tmp_path: Path, length: int) -> None:
    write_python(tmp_path)
    path = tmp_path / "data_batch_2"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(HwticketsError, match="data_batch_2 is damaged"):
        load(tmp_path)


def test_cut_binary_batch_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path)
    path = tmp_path / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HwticketsError, match=r"data_batch_4\.bin is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("write,suffix", [(write_binary, ".bin"), (write_python, "")])
def test_missing_batch_is_named(tmp_path: Path, write: Callable[[Path], None], suffix: str) -> None:
    write(tmp_path)
    (tmp_path / f"data_batch_5{suffix}").unlink()
    with pytest.raises(HwticketsError, match=f"data_batch_5{suffix} is missing"):
        load(tmp_path)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    write_jpegs(tmp_path)
    path = tmp_path / "cifar10_jpeg.npz"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(HwticketsError, match=r"cifar10_jpeg\.npz is damaged"):
        load(tmp_path)


def test_damaged_jpeg_is_named(tmp_path: Path) -> None:
    write_jpegs(tmp_path)
    path = tmp_path / "cifar10_jpeg.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["test_jpeg"][arrays["test_offsets"][7] : arrays["test_offsets"][8]] = 0
    np.savez(path, **arrays)
    with pytest.raises(HwticketsError, match=r"test image 7 of .* is damaged"):
        load(tmp_path)


def test_folder_without_cifar_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data_batch_1\.bin"):
        load(tmp_path)

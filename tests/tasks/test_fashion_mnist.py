from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hwtickets.errors import HwticketsError
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.datasets import load_dataset
from hwtickets.tasks.splits import Split

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"


def pixels(split: Split) -> torch.Tensor:
    return split.batch(torch.arange(len(split)))


def image_bytes(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in pixels(split)}


@pytest.fixture(scope="module")
def embedded() -> Dataset:
    return load_dataset("fashion-mnist-small")


def test_embedded_subset_has_its_sizes_and_is_balanced(embedded: Dataset) -> None:
    for split, per_class in ((embedded.train, 1000), (embedded.validation, 200), (embedded.test, 200)):
        assert torch.bincount(split.labels).tolist() == [per_class] * 10
        assert pixels(split).shape == (10 * per_class, 1, 28, 28)
    assert embedded.classes[9] == "Ankle boot"


def test_embedded_splits_do_not_overlap(embedded: Dataset) -> None:
    train, validation, test = (
        image_bytes(split) for split in (embedded.train, embedded.validation, embedded.test)
    )
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_embedded_statistics_are_those_of_fashion_mnist(embedded: Dataset) -> None:
    assert embedded.mean.tolist() == pytest.approx([0.2860], abs=0.005)
    assert embedded.std.tolist() == pytest.approx([0.3530], abs=0.005)


def test_folder_holds_out_a_stratified_twelfth(fashion_folder: Path) -> None:
    dataset = load_dataset(f"fashion-mnist:{fashion_folder}")
    assert torch.bincount(dataset.train.labels).tolist() == [18] * 10
    assert torch.bincount(dataset.validation.labels).tolist() == [2] * 10
    assert len(dataset.test) == 40
    assert not image_bytes(dataset.train) & image_bytes(dataset.validation)


def test_folder_images_agree_with_the_file(fashion_folder: Path) -> None:
    dataset = load_dataset(f"fashion-mnist:{fashion_folder}")
    raw = gzip.decompress((fashion_folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert pixels(dataset.test).numpy().tobytes() == raw[16:]


def test_seed_chooses_the_validation_images(fashion_folder: Path) -> None:
    spec = f"fashion-mnist:{fashion_folder}"
    first, again, other = (pixels(load_dataset(spec, seed=seed).validation) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_resolution_scales_the_images() -> None:
    dataset = load_dataset("fashion-mnist-small", resolution=14)
    small = pixels(dataset.test)[:50].float()
    own = pixels(load_dataset("fashion-mnist-small").test)[:50].float()
    assert (dataset.resolution, small.shape[-2:]) == (14, (14, 14))
    assert small.mean().item() == pytest.approx(own.mean().item(), rel=0.02)


def cut(content: bytes) -> bytes:
    return content[:-10]


def emptied(content: bytes) -> bytes:
    return b""


def not_gzip(content: bytes) -> bytes:
    return gzip.decompress(content)


def shorter_than_its_header(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content)[:-784])


def cut_inside_the_header(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content)[:6])


@pytest.mark.parametrize("damage", [cut, emptied, not_gzip, shorter_than_its_header, cut_inside_the_header])
def test_damaged_file_is_named_in_one_line(fashion_folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = fashion_folder / TRAIN_IMAGES
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(HwticketsError) as failure:
        load_dataset(f"fashion-mnist:{fashion_folder}")
    assert TRAIN_IMAGES in str(failure.value)
    assert "\n" not in str(failure.value)


def test_labels_in_the_place_of_images_are_refused(fashion_folder: Path) -> None:
    (fashion_folder / TRAIN_IMAGES).write_bytes((fashion_folder / TRAIN_LABELS).read_bytes())
    with pytest.raises(HwticketsError, match="magic number 00000801, expected 00000803"):
        load_dataset(f"fashion-mnist:{fashion_folder}")


def test_missing_file_is_named(fashion_folder: Path) -> None:
    (fashion_folder / TRAIN_LABELS).unlink()
    with pytest.raises(HwticketsError, match=f"{TRAIN_LABELS} is missing"):
        load_dataset(f"fashion-mnist:{fashion_folder}")


def test_images_and_labels_of_different_parts_are_refused(fashion_folder: Path) -> None:
    (fashion_folder / TRAIN_LABELS).write_bytes((fashion_folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(HwticketsError, match="40 labels"):
        load_dataset(f"fashion-mnist:{fashion_folder}")


def test_label_out_of_range_is_refused(fashion_folder: Path) -> None:
    path = fashion_folder / TRAIN_LABELS
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] = 10
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(HwticketsError, match="labels 0 to 9"):
        load_dataset(f"fashion-mnist:{fashion_folder}")

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks import image_folder as room
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.datasets import load_dataset
from hwtickets.tasks.splits import Split

MakeFolder = Callable[..., Path]


def load(folder: Path) -> Dataset:
    return load_dataset(f"folder:{folder}", resolution=16)


def brightness(split: Split) -> torch.Tensor:
    return split.batch(torch.arange(len(split))).float().flatten(1).mean(1)


def test_images_get_the_label_of_their_folder(image_folder: MakeFolder) -> None:
    dataset = load(image_folder())
    assert dataset.classes == ["cats", "dogs"]
    assert (dataset.channels, dataset.resolution) == (3, 16)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert torch.equal(brightness(split) > 80, split.labels == 1)


def test_without_a_test_folder_val_is_the_test_split(image_folder: MakeFolder) -> None:
    dataset = load(image_folder())
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [18, 2, 20]
    assert sorted(dataset.validation.labels.tolist()) == [0, 1]


def test_a_test_folder_is_used(image_folder: MakeFolder) -> None:
    folder = image_folder(parts=("train", "val", "test"))
    (folder / "test" / "dogs" / "0.png").unlink()
    dataset = load(folder)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [20, 20, 19]


def test_grey_images_give_one_channel(image_folder: MakeFolder) -> None:
    assert load(image_folder("L")).channels == 1


def test_default_resolution_is_64(image_folder: MakeFolder) -> None:
    assert load_dataset(f"folder:{image_folder()}").resolution == 64


def test_images_are_cropped_to_their_centre(image_folder: MakeFolder) -> None:
    folder = image_folder()
    wide = Image.new("RGB", (60, 20), "black")
    wide.paste("white", (20, 0, 40, 20))
    wide.save(folder / "val" / "cats" / "0.png")
    dataset = load(folder)
    assert brightness(dataset.test)[0] > 250, "the black sides must be gone, but for the blur of scaling"


def test_decoding_on_demand_gives_the_same_images(
    image_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder()
    at_once = load(folder)
    monkeypatch.setattr(room, "LARGEST_IN_MEMORY_BYTES", 0)
    on_demand = load(folder)
    indices = torch.tensor([5, 0, 5])
    assert torch.equal(at_once.train.batch(indices), on_demand.train.batch(indices))
    assert torch.equal(at_once.mean, on_demand.mean)


@pytest.mark.parametrize("largest_bytes", [0, room.LARGEST_IN_MEMORY_BYTES])
def test_file_that_is_not_an_image_is_named(
    image_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, largest_bytes: int
) -> None:
    monkeypatch.setattr(room, "LARGEST_IN_MEMORY_BYTES", largest_bytes)
    folder = image_folder()
    (folder / "val" / "dogs" / "notes.txt").write_text("woof")
    with pytest.raises(HwticketsError, match=r"dogs/notes\.txt .* is not an image") as failure:
        load(folder)
    assert "\n" not in str(failure.value)


def test_cut_image_is_named(image_folder: MakeFolder) -> None:
    folder = image_folder()
    path = folder / "train" / "dogs" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(HwticketsError, match=r"dogs/3\.png is damaged"):
        load(folder)


def test_hidden_files_are_passed_over(image_folder: MakeFolder) -> None:
    folder = image_folder()
    (folder / "val" / "dogs" / ".DS_Store").write_bytes(b"\0")
    (folder / "val" / ".cache").mkdir()
    assert len(load(folder).test) == 20


@pytest.mark.parametrize("part", ["train", "val"])
def test_missing_part_is_named(image_folder: MakeFolder, part: str) -> None:
    folder = image_folder()
    shutil.rmtree(folder / part)
    with pytest.raises(UsageError, match=f"images/{part} does not exist"):
        load(folder)


def test_empty_class_folder_is_named(image_folder: MakeFolder) -> None:
    folder = image_folder()
    for path in (folder / "val" / "cats").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="val/cats is empty"):
        load(folder)


def test_folder_without_classes_is_named(image_folder: MakeFolder) -> None:
    folder = image_folder()
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    with pytest.raises(UsageError, match="train holds no class folders"):
        load(folder)


@pytest.mark.parametrize("part", ["train", "val"])
def test_class_that_is_in_one_part_only_is_named(image_folder: MakeFolder, part: str) -> None:
    folder = image_folder()
    shutil.copytree(folder / "val" / "cats", folder / part / "birds")
    with pytest.raises(UsageError, match="'birds' is in only one"):
        load(folder)


def test_one_class_is_nothing_to_tell_apart(image_folder: MakeFolder) -> None:
    folder = image_folder()
    for part in ("train", "val"):
        shutil.rmtree(folder / part / "dogs")
    with pytest.raises(UsageError, match="train holds one class folder, cats"):
        load_dataset(f"folder:{folder}")


def test_class_too_small_to_hold_out_is_named(image_folder: MakeFolder) -> None:
    with pytest.raises(UsageError, match="train/cats holds 1 image"):
        load(image_folder(count=1))


@pytest.mark.parametrize("name", ["classes.txt", "synset_words.txt", "LOC_synset_mapping.txt"])
def test_classes_are_named_by_a_list_beside_the_folders(image_folder: MakeFolder, name: str) -> None:
    folder = image_folder()
    (folder / name).write_text("n0 unused\ndogs domestic dog, Canis familiaris\n\ncats cat, true cat\n")
    dataset = load(folder)
    assert dataset.classes == ["cat", "domestic dog"]
    assert torch.equal(brightness(dataset.test) > 80, dataset.test.labels == 1), "labels stay as they were"


def test_classes_of_one_name_can_be_told_apart(image_folder: MakeFolder) -> None:
    folder = image_folder()
    (folder / "classes.txt").write_text("cats crane\ndogs crane\n")
    assert load(folder).classes == ["crane (cats)", "crane (dogs)"]


def test_class_without_a_name_is_named(image_folder: MakeFolder) -> None:
    folder = image_folder()
    (folder / "synset_words.txt").write_text("cats cat\n")
    with pytest.raises(UsageError, match=r"synset_words\.txt has no line for class folder 'dogs'"):
        load(folder)


@pytest.mark.parametrize("part", ["val", "test"])
def test_images_outside_class_folders_are_pointed_out(image_folder: MakeFolder, part: str) -> None:
    """ImageNet's validation images come in one folder; its test images have no labels at all."""
    folder = image_folder()
    shutil.rmtree(folder / part, ignore_errors=True)
    shutil.copytree(folder / "train" / "cats", folder / part)
    with pytest.raises(UsageError, match=f"images/{part} holds files but no class folders") as failure:
        load(folder)
    assert "\n" not in str(failure.value)

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.segmentation import data as room
from hwtickets.tasks.segmentation.data import load_scenes
from hwtickets.tasks.segmentation.scenes import Scenes

Write = Callable[..., Path]


def counts(*splits: Scenes) -> list[int]:
    return [len(split) for split in splits]


def classes_in(scenes: Scenes) -> set[int]:
    return {label for index in range(len(scenes)) for label in np.unique(scenes[index].labels).tolist()}


def test_camvid(camvid: Path) -> None:
    data = load_scenes(f"camvid:{camvid}")
    assert counts(data.train, data.validation, data.test) == [4, 2, 3]
    assert (data.channels, data.resolution) == (3, (20, 28))
    assert [data.classes[label] for label in (3, 8, 9)] == ["road", "car", "pedestrian"]
    assert len(data.classes) == 11
    assert classes_in(data.train) <= {3, 8, 9, 255}
    assert np.asarray(data.train[0].labels)[0].tolist() == [255] * 28, "unlabelled pixels do not count"


@pytest.mark.parametrize(
    ("ending", "ids"), [("labelIds", None), ("labelTrainIds", {0: 0, 1: 13, 2: 11, -1: 255})]
)
def test_cityscapes(cityscapes: Write, ending: str, ids: dict[int, int] | None) -> None:
    data = load_scenes(f"cityscapes:{cityscapes(ending, ids)}")
    assert counts(data.train, data.validation, data.test) == [10, 1, 3]
    assert [data.classes[label] for label in (0, 11, 13)] == ["road", "person", "car"]
    assert classes_in(data.train) == {0, 11, 13, 255}


def test_ade20k(ade20k: Path) -> None:
    data = load_scenes(f"ade20k:{ade20k}")
    assert counts(data.train, data.validation, data.test) == [11, 1, 3]
    assert data.resolution == (512, 512)
    assert (len(data.classes), data.classes[149]) == (150, "class 150")
    assert classes_in(data.train) <= {0, 1, 149, 255}


def test_ade20k_names_its_classes(ade20k: Path) -> None:
    rows = [f"{number}\t0.1\t20\t3\t1\tthing {number}, stuff" for number in range(1, 151)]
    (ade20k / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows]))
    assert load_scenes(f"ade20k:{ade20k}").classes[1] == "thing 2, stuff"
    (ade20k / "objectInfo150.txt").write_text("\n".join(rows))
    with pytest.raises(HwticketsError, match=r"objectInfo150\.txt lists 149 classes"):
        load_scenes(f"ade20k:{ade20k}")


def test_mask_folder(masks: Write) -> None:
    data = load_scenes(f"masks:{masks()}")
    assert counts(data.train, data.validation, data.test) == [9, 1, 4]
    assert data.classes == ["ground", "box", "ball"]
    assert classes_in(data.train) == {0, 1, 2, 255}
    other = load_scenes(f"masks:{masks()}", seed=1)
    assert data.validation[0].image.tobytes() != other.validation[0].image.tobytes()


def test_a_test_part_is_used(masks: Write) -> None:
    data = load_scenes(f"masks:{masks(parts={'train': 3, 'val': 2, 'test': 1})}")
    assert counts(data.train, data.validation, data.test) == [3, 2, 1]


def test_validation_images_are_not_trained_on(masks: Write) -> None:
    data = load_scenes(f"masks:{masks()}")
    trained = {data.train[index].image.tobytes() for index in range(9)}
    assert len(trained) == 9
    assert data.validation[0].image.tobytes() not in trained


def test_grey_images_give_one_channel(masks: Write) -> None:
    assert load_scenes(f"masks:{masks(mode='L')}").channels == 1


def test_statistics_are_those_of_the_training_pixels(masks: Write) -> None:
    data = load_scenes(f"masks:{masks()}")
    pixels = np.concatenate([np.asarray(data.train[index].image).reshape(-1, 3) for index in range(9)]) / 255
    np.testing.assert_allclose(data.mean.numpy(), pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(data.std.numpy(), pixels.std(0), rtol=1e-5)


def test_decoding_on_demand_gives_the_same_scenes(masks: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = masks()
    at_once = load_scenes(f"masks:{folder}")
    monkeypatch.setattr(room, "LARGEST_IN_MEMORY_BYTES", 0)
    on_demand = load_scenes(f"masks:{folder}")
    assert isinstance(at_once.train, list)
    assert not isinstance(on_demand.train, list)
    assert on_demand.train[5].image.tobytes() == at_once.train[5].image.tobytes()
    assert on_demand.train[5].labels.tobytes() == at_once.train[5].labels.tobytes()


def test_images_of_many_sizes_need_a_resolution(masks: Write) -> None:
    folder = masks()
    masks(parts={"train": 1}, size=(30, 20))
    with pytest.raises(UsageError, match=r"differ in size \(24x32, 30x20, \.\.\.\): .* --resolution"):
        load_scenes(f"masks:{folder}")
    assert load_scenes(f"masks:{folder}", (16, 24)).resolution == (16, 24)


@pytest.mark.parametrize(
    "missing",
    ["images/train", "images/val", "masks/train", "masks/val", "masks/train/03.png", "classes.txt"],
)
def test_what_is_missing_is_named(masks: Write, missing: str) -> None:
    path = masks() / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(HwticketsError, match=f"scenes/{missing}") as failure:
        load_scenes(f"masks:{path.parents[missing.count('/')]}")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("missing", ["train", "val", "test", "trainannot", "valannot", "testannot"])
def test_missing_folder_of_camvid_is_named(camvid: Path, missing: str) -> None:
    shutil.rmtree(camvid / missing)
    with pytest.raises(UsageError, match=f"{missing} does not exist"):
        load_scenes(f"camvid:{camvid}")


def test_missing_labels_of_cityscapes_are_named(cityscapes: Write) -> None:
    folder = cityscapes()
    (folder / "gtFine/train/ulm/ulm_000002_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(
        UsageError, match=r"ulm_000002_000019_leftImg8bit\.png has no label map: .*labelIds\.png"
    ):
        load_scenes(f"cityscapes:{folder}")


def test_without_any_maps_of_cityscapes_the_usual_one_is_named(cityscapes: Write) -> None:
    with pytest.raises(UsageError, match=r"has no label map: .*_gtFine_labelIds\.png does not exist"):
        load_scenes(f"cityscapes:{cityscapes('color')}")


@pytest.mark.parametrize("missing", ["leftImg8bit", "leftImg8bit/val", "leftImg8bit/val/koeln"])
def test_missing_images_of_cityscapes_are_named(cityscapes: Write, missing: str) -> None:
    folder = cityscapes()
    shutil.rmtree(folder / missing)
    with pytest.raises(UsageError, match=r"leftImg8bit/(train|val) (does not exist|holds no CITY)"):
        load_scenes(f"cityscapes:{folder}")


def test_empty_folder_is_named(masks: Write) -> None:
    folder = masks()
    for path in (folder / "images" / "val").iterdir():
        path.rename(path.with_name(f".{path.name}"))
    with pytest.raises(UsageError, match="images/val holds no files"):
        load_scenes(f"masks:{folder}")


def test_too_few_to_hold_out_are_named(masks: Write) -> None:
    with pytest.raises(UsageError, match="images/train holds 1 image"):
        load_scenes(f"masks:{masks(parts={'train': 1, 'val': 1})}")


@pytest.mark.parametrize("text", ["", "only\n"])
def test_too_few_classes_are_named(masks: Write, text: str) -> None:
    folder = masks()
    (folder / "classes.txt").write_text(text)
    with pytest.raises(UsageError, match=r"classes\.txt lists \d classes"):
        load_scenes(f"masks:{folder}")


@pytest.mark.parametrize("largest_bytes", [0, room.LARGEST_IN_MEMORY_BYTES])
def test_mask_of_another_size_is_named(
    masks: Write, monkeypatch: pytest.MonkeyPatch, largest_bytes: int
) -> None:
    monkeypatch.setattr(room, "LARGEST_IN_MEMORY_BYTES", largest_bytes)
    folder = masks()
    Image.new("L", (32, 23)).save(folder / "masks" / "val" / "02.png")
    with pytest.raises(HwticketsError, match=r"masks/val/02\.png has 32x23 pixels, its image 02\.png 32x24"):
        load_scenes(f"masks:{folder}")


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.5])
def test_cut_file_is_named(masks: Write, kind: str, kept: float) -> None:
    folder = masks()
    path = folder / kind / "train" / "01.png"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(HwticketsError, match=rf"{kind}/train/01\.png is damaged") as failure:
        load_scenes(f"masks:{folder}")
    assert "\n" not in str(failure.value)


def test_unknown_class_is_named(masks: Write) -> None:
    folder = masks()
    (folder / "classes.txt").write_text("ground\nbox\n")
    with pytest.raises(HwticketsError, match=r"masks/\w+/\d\d\.png holds the class id 2; .* ids 0 to 1"):
        load_scenes(f"masks:{folder}")


@pytest.mark.parametrize(("dark", "seen"), [(0, "ground and 255"), (255, "255")])
def test_masks_of_black_and_white_are_refused(masks: Write, dark: int, seen: str) -> None:
    folder = masks()
    for path in (folder / "masks").rglob("*.png"):
        Image.open(path).point(lambda number: 255 if number else dark).save(path)
    with pytest.raises(UsageError, match=f"hold nothing but {seen}, which means") as failure:
        load_scenes(f"masks:{folder}")
    assert "\n" not in str(failure.value)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        load_scenes(f"camvid:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("task", "data", "known"),
    [
        ("segmentation", "fashion-mnist-small", "camvid:DIR, cityscapes:DIR, masks:DIR"),
        ("segmentation", "fashion-mnist:.", "camvid:DIR"),
        ("classification", "camvid:.", "cifar10:DIR"),
    ],
)
def test_data_of_another_task_is_refused(task: str, data: str, known: str) -> None:
    with pytest.raises(UsageError, match=f"'{data}' for task {task}.*{known}") as failure:
        build_task(task, TaskSettings(data))
    assert "\n" not in str(failure.value)

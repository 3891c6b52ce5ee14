from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tasks.keypoints.datasets import load_persons
from hwtickets.tasks.keypoints.persons import ImageFiles, PersonSplit

WriteCoco = Callable[..., Path]


def names(split: PersonSplit) -> list[str]:
    assert isinstance(split.images, ImageFiles)
    return [path.name for path in split.images.paths]


def test_layout_of_coco_has_its_last_part_for_the_test(coco_folder: Path) -> None:
    data = load_persons(f"coco:{coco_folder}")
    assert data.resolution == (256, 192)
    assert names(data.test) == ["0030.png", "0031.png", "0032.png", "0033.png"]
    assert (len(data.train.persons), len(data.validation.persons)) == (11, 1)
    assert sorted(names(data.train) + names(data.validation)) == [
        f"{image:04}.png" for image in range(10, 22)
    ]
    assert data.train.persons.images.tolist() == list(range(11))
    assert data.train.images.picture(0).size == (64, 48)


def test_seed_chooses_the_validation_images(coco_folder: Path) -> None:
    chosen = {names(load_persons(f"coco:{coco_folder}", seed=seed).validation)[0] for seed in range(6)}
    assert len(chosen) > 1
    again = [names(load_persons(f"coco:{coco_folder}", seed=1).validation) for _ in range(2)]
    assert again[0] == again[1]


def test_labelled_test_images_are_used_where_there_are_some(coco_folder: Path, write_coco: WriteCoco) -> None:
    write_coco(coco_folder / "annotations" / "mine_test.json", coco_folder / "images" / "test", range(50, 53))
    data = load_persons(f"coco:{coco_folder}")
    assert names(data.test) == ["0050.png", "0051.png", "0052.png"]
    assert names(data.validation) == ["0030.png", "0031.png", "0032.png", "0033.png"]
    assert len(data.train.persons) == 12


def test_other_files_of_coco_do_not_disturb(coco_folder: Path) -> None:
    for name in ("instances_train2017.json", "captions_val2017.json", "image_info_test2017.json"):
        (coco_folder / "annotations" / name).write_text("{}")
    assert len(load_persons(f"coco:{coco_folder}").test.persons) == 4


def test_one_file_is_parted_by_image_and_its_test_stays(tmp_path: Path, write_coco: WriteCoco) -> None:
    path = write_coco(tmp_path / "labels" / "all.json", tmp_path / "images", range(20))
    runs = [load_persons(f"coco-file:{path}", seed=seed) for seed in range(4)]
    assert {tuple(names(data.test)) for data in runs} == {tuple(names(runs[0].test))}
    assert len({tuple(names(data.validation)) for data in runs}) > 1
    for data in runs:
        parts = [names(split) for split in (data.train, data.validation, data.test)]
        assert [len(part) for part in parts] == [16, 2, 2]
        assert len(set().union(*parts)) == 20


def test_image_stays_in_its_part_when_others_are_added(tmp_path: Path, write_coco: WriteCoco) -> None:
    few = load_persons(f"coco-file:{write_coco(tmp_path / 'few.json', tmp_path, range(20))}")
    more = load_persons(f"coco-file:{write_coco(tmp_path / 'more.json', tmp_path, range(30))}")
    kept = set(names(more.test)) & {f"{image:04}.png" for image in range(20)}
    assert kept <= set(names(few.test))


def test_boxes_of_a_detector_are_scored_on_the_test_images(coco_folder: Path, tmp_path: Path) -> None:
    found = [
        {"image_id": image, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.5} for image in (11, 31, 31)
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    data = load_persons(f"coco:{coco_folder},boxes={tmp_path / 'found.json'}")
    assert data.test.candidates.images.tolist() == [1, 1]
    assert len(data.test.persons) == 4
    np.testing.assert_array_equal(data.validation.candidates.boxes, data.validation.persons.boxes)


def test_detector_may_be_wrong_on_images_that_show_nobody(
    tmp_path: Path, coco_folder: Path, write_coco: WriteCoco
) -> None:
    labels = coco_folder / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(labels.read_text())
    content["annotations"] = content["annotations"][:2]
    labels.write_text(json.dumps(content))
    assert len(load_persons(f"coco:{coco_folder}").test.images) == 2
    found = [{"image_id": 33, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.5}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    data = load_persons(f"coco:{coco_folder},boxes={tmp_path / 'found.json'}")
    assert (len(data.test.images), data.test.candidates.images.tolist()) == (4, [3])


def test_missing_image_is_named_with_its_annotation(coco_folder: Path) -> None:
    (coco_folder / "val2017" / "0032.png").unlink()
    with pytest.raises(HwticketsError, match=r"0032\.png is missing; annotation 32 of .*val2017\.json"):
        load_persons(f"coco:{coco_folder}")


def test_missing_folder_of_images_names_where_it_was_looked_for(coco_folder: Path) -> None:
    (coco_folder / "train2017").rename(coco_folder / "elsewhere")
    with pytest.raises(UsageError, match=r"image 0010\.png is in none of .*images.*; annotation 10 of"):
        load_persons(f"coco:{coco_folder}")


def test_missing_labels_are_named(coco_folder: Path) -> None:
    (coco_folder / "annotations" / "person_keypoints_val2017.json").unlink()
    with pytest.raises(
        UsageError, match=r"must hold one file of keypoints for val, .*person_keypoints_val2017"
    ):
        load_persons(f"coco:{coco_folder}")


def test_two_files_of_labels_are_named(coco_folder: Path) -> None:
    (coco_folder / "annotations" / "my_keypoints_train.json").write_text("{}")
    with pytest.raises(
        UsageError, match=r"there are 2 \(my_keypoints_train\.json, person_keypoints_train2017"
    ):
        load_persons(f"coco:{coco_folder}")


def test_different_joints_are_refused(coco_folder: Path) -> None:
    labels = coco_folder / "annotations" / "person_keypoints_val2017.json"
    labels.write_text(
        labels.read_text().replace("left_foot", "left_hand").replace("right_foot", "right_hand")
    )
    with pytest.raises(UsageError, match="label different joints"):
        load_persons(f"coco:{coco_folder}")


def test_too_few_images_are_named(tmp_path: Path, write_coco: WriteCoco) -> None:
    path = write_coco(tmp_path / "a.json", tmp_path, range(2))
    with pytest.raises(UsageError, match=r"a\.json labels too few images"):
        load_persons(f"coco-file:{path}")


@pytest.mark.parametrize(
    "spec,message",
    [
        ("coc:/data", "did you mean 'coco:DIR'"),
        ("fashion-mnist-small", "unknown data 'fashion-mnist-small' for task keypoints"),
        ("coco", "needs a folder: coco:DIR"),
        ("coco-file", "coco-file:JSON"),
        ("coco-file:/nowhere.json", "file of labels /nowhere.json does not exist"),
        ("coco:/nowhere", "/nowhere does not exist"),
        ("coco:/data,boxes=", "name the detector's results"),
        ("figures:", "at least 1, as in figures:500"),
        ("figures:-3", "at least 1, as in figures:500"),
    ],
)
def test_wrong_specifications_say_what_is_right(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_persons(spec)

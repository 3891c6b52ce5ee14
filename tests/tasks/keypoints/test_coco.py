from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.errors import HwticketsError
from hwtickets.tasks.keypoints.coco import read_detections, read_persons

WriteCoco = Callable[..., Path]
MakePerson = Callable[..., dict[str, Any]]
Content = dict[str, Any]

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@pytest.fixture
def labels(tmp_path: Path, write_coco: WriteCoco) -> Path:
    return write_coco(tmp_path / "labels.json", tmp_path, range(5, 9))


def changed(path: Path, change: Callable[[Content], object]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_persons_are_read_as_they_are_written(labels: Path) -> None:
    file = read_persons(labels)
    assert file.skeleton.names[:2] == ["nose", "left_eye"]
    assert file.names == ["0005.png", "0006.png", "0007.png", "0008.png"]
    assert (file.category, file.annotation_ids) == (3, [5, 6, 7, 8])
    persons = file.persons
    assert persons.images.tolist() == [0, 1, 2, 3]
    assert persons.boxes[1].tolist() == [8, 4, 20, 28]
    assert persons.joints[1, 2].tolist() == [18, 18, 2]
    assert persons.areas.tolist() == [300] * 4
    assert persons.usable().all()


def test_who_cannot_be_learnt_from_is_kept_for_scoring(
    tmp_path: Path, write_coco: WriteCoco, person: MakePerson
) -> None:
    """As COCO has it: crowds, persons without joints, and persons without area or box."""
    everybody = [
        person(1, 5),
        person(2, 5, iscrowd=1),
        person(3, 6, keypoints=[0] * 15),
        person(4, 6, area=0),
        person(5, 6, bbox=[3, 3, 0, 9]),
        person(6, 6, category_id=1),
    ]
    persons = read_persons(write_coco(tmp_path / "a.json", tmp_path, range(5, 7), everybody)).persons
    assert persons.usable().tolist() == [True, False, False, False, False]
    assert persons.crowd.tolist() == [False, True, False, False, False]


def test_what_some_sets_leave_out_has_a_default(labels: Path) -> None:
    def shorten(content: Content) -> None:
        for key in ("area", "iscrowd", "id"):
            del content["annotations"][0][key]

    persons = read_persons(changed(labels, shorten)).persons
    assert (persons.areas[0], persons.crowd[0]) == (20 * 28, False)


@pytest.mark.parametrize(
    "key,value,message",
    [
        ("keypoints", [1, 2, 2] * 4, "annotation 6: keypoints must be 15 finite numbers, not 12"),
        ("keypoints", None, "annotation 6: keypoints must be 15 finite numbers, not None"),
        ("keypoints", [float("nan")] * 15, "annotation 6: keypoints must be 15 finite numbers"),
        ("keypoints", ["x"] * 15, "annotation 6: keypoints must be 15 finite numbers"),
        ("bbox", [1, 2, 3], "annotation 6: bbox must be 4 finite numbers, not 3"),
        ("bbox", [1, 2, 3, 10**400], "annotation 6: bbox must be 4 finite numbers"),
        ("area", "large", "annotation 6: area must be a finite number, not 'large'"),
        ("area", -3, "annotation 6: area must not be negative"),
        ("image_id", 77, "annotation 6: there is no image with id 77"),
        ("image_id", [5], "annotation 6: image_id must be a number or a text"),
    ],
)
def test_damaged_annotation_is_named(labels: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(HwticketsError, match=message) as failure:
        read_persons(changed(labels, lambda content: content["annotations"][1].update({key: value})))
    assert str(labels) in str(failure.value)


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda content: content.pop("images"), "has no list of images"),
        (lambda content: content.update(annotations=[]), "the list of annotations is empty"),
        (lambda content: content.update(categories=[{"id": 3}]), "0 categories have keypoints"),
        (lambda content: content["categories"][1].update(id="3"), "no number as its id"),
        (lambda content: content["categories"][1].update(keypoints="nose"), "must be a list of names"),
        (lambda content: content["categories"][0].update(keypoints=["nose"]), "2 categories have keypoints"),
        (lambda content: content["images"][2].pop("file_name"), "image 7: file_name must be"),
        (lambda content: content["images"][2].pop("id"), "image 2: id must be a number or a text"),
        (lambda content: content["images"][2].update(id=5), "two images have the same id"),
    ],
)
def test_damaged_lists_are_named(labels: Path, change: Callable[[Content], object], message: str) -> None:
    with pytest.raises(HwticketsError, match=message):
        read_persons(changed(labels, change))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 200_000, b"null", b"NaN"])
def test_what_is_no_such_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(HwticketsError, match=r"a\.json") as failure:
        read_persons(tmp_path / "a.json")
    assert "\n" not in str(failure.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), value=junk)
def test_any_damage_is_read_or_named(
    data: st.DataObject, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One entry somewhere in the file becomes something else."""
    joints = ["nose", "left_eye", "right_eye"]
    entry = {
        "id": 1,
        "image_id": 2,
        "category_id": 3,
        "bbox": [1, 2, 3, 4],
        "area": 5.0,
        "keypoints": [1, 2, 2] * 3,
    }
    content: Any = {
        "images": [{"id": 2, "file_name": "a.png"}],
        "categories": [{"id": 3, "keypoints": joints}],
        "annotations": [copy.deepcopy(entry)],
    }
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text(json.dumps(content))
    try:
        persons = read_persons(path).persons
    except HwticketsError as error:
        assert "damaged.json" in str(error)
        assert "\n" not in str(error)
    else:
        assert np.isfinite(persons.joints).all()
        persons.usable()


def test_detections_on_known_images_of_the_category_are_read(labels: Path, tmp_path: Path) -> None:
    found = [
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.5},
        {"image_id": 99, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.9},
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9},
        {"image_id": 5, "category_id": 3, "bbox": [1, 2, 0.1, 40], "score": 0.9},
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    boxes = read_detections(tmp_path / "found.json", read_persons(labels))
    assert (boxes.images.tolist(), boxes.scores.tolist()) == ([2, 0], [0.5, 0.9])
    only_one_can_be_cut_out = boxes.on([2, 0])
    assert only_one_can_be_cut_out.images.tolist() == [0]


@pytest.mark.parametrize(
    "content,message",
    [
        ([], "holds no box of category 3"),
        ({}, "must hold a list of detections"),
        (
            [{"image_id": 5, "category_id": 3, "bbox": [1], "score": 1}],
            "detection 0: bbox must be 4 finite numbers",
        ),
        (
            [{"image_id": 5, "category_id": 3, "bbox": [1, 2, 3, 4]}],
            "detection 0: score must be a finite number",
        ),
    ],
)
def test_damaged_detections_are_named(labels: Path, tmp_path: Path, content: object, message: str) -> None:
    (tmp_path / "found.json").write_text(json.dumps(content))
    with pytest.raises(HwticketsError, match=message):
        read_detections(tmp_path / "found.json", read_persons(labels))

"""Real COCO files, end to end: they lie beside the repository or in $HWTICKETS_DATA, or nothing runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwtickets.supernets import build_supernet
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.keypoints import Keypoints
from hwtickets.tasks.keypoints.skeleton import COCO_SIGMAS
from tests.tasks.keypoints.oracle import Oracle

DATA = Path(os.environ.get("HWTICKETS_DATA", Path(__file__).parents[4] / "shared" / "data"))
SAMPLE = DATA / "coco-keypoints-sample"
LABELS, DETECTIONS = SAMPLE / "test_coco.json", SAMPLE / "test_coco_det_AP_H_56.json"
SIZES = {"stages": [[1, [1], [8]]], "expand_ratio": 2, "kernel_sizes": [3], "init": "small"}

pytestmark = pytest.mark.skipif(
    not LABELS.is_file(), reason="coco-keypoints-sample is neither in $HWTICKETS_DATA nor in ../shared/data"
)


def build(boxes: Path | None = None, **settings: Any) -> Keypoints:
    pytest.importorskip("pycocotools")
    data = f"coco-file:{LABELS}" + (f",boxes={boxes}" if boxes else "")
    task = build_task("keypoints", TaskSettings(data, (64, 48), 2, **settings))
    assert isinstance(task, Keypoints)
    return task


def test_the_labels_are_read_as_coco_writes_them() -> None:
    task = build()
    content = json.loads(LABELS.read_text())
    parts = (task.data.train, task.data.validation, task.data.test)
    assert task.classes == list(COCO_SIGMAS)
    assert sum(len(part.images) for part in parts) == len(content["images"])
    assert sum(len(part.truth) for part in parts) == len(content["annotations"])
    labelled = [entry for entry in content["annotations"] if entry["num_keypoints"]]
    assert sum(len(part.persons) for part in parts) == len(labelled)
    known = {tuple(np.reshape(entry["keypoints"], (-1, 3))[0]) for entry in labelled}
    assert {tuple(joints[0]) for part in parts for joints in part.persons.joints.tolist()} == known


@pytest.mark.parametrize("boxes", [None, DETECTIONS], ids=["labelled boxes", "detector boxes"])
def test_a_network_takes_a_step_on_it_and_is_scored(boxes: Path | None) -> None:
    task = build(boxes)
    torch.manual_seed(0)
    network = build_supernet("hrnas-tiny", task.input_shape, task.num_outputs, dict(SIZES), task.head)
    crops, targets = task.train_batch(0)
    assert crops.shape == (2, 3, 64, 48) and targets.shape == (2, 17, 3)
    assert crops.std() > 0.3 and 5 < targets[..., 2].sum() <= 34
    before = task.loss(network(crops), targets)
    optimizer = torch.optim.AdamW(network.parameters(), 0.01)
    for _ in range(5):
        optimizer.zero_grad()
        task.loss(network(crops), targets).backward()
        optimizer.step()
    assert task.loss(network(crops), targets) < before
    figures = task.details(network, "test")
    assert list(figures) == ["OKS AP", "AP50", "AP75", "AR"]
    assert all(0 <= figure <= 100 for figure in figures.values())
    assert task.score(network, "test") == figures["OKS AP"]


def test_the_boxes_of_the_detector_are_those_on_the_test_image() -> None:
    task, plain = build(DETECTIONS), build()
    (image,) = task.data.test.images.paths
    own = [entry for entry in json.loads(DETECTIONS.read_text()) if entry["image_id"] == int(image.stem)]
    assert len(own) > len(plain.data.test.candidates), "a detector is less sure than the labels"
    assert task.data.test.candidates.scores.tolist() == [entry["score"] for entry in own]
    assert len(task.data.validation.candidates) == len(plain.data.validation.candidates)


def test_right_heatmaps_score_nearly_everything() -> None:
    task = build(flip_test=False, decoding="soft")
    for split, batches in (("validation", task.validation_batches()), ("test", task.test_batches())):
        oracle = Oracle(torch.cat([targets for _, targets in batches]))
        assert task.score(oracle, split) > 95
        assert task.score(Oracle(oracle.joints + torch.tensor([12.0, 0.0, 0.0])), split) < 50

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwtickets.config_files import load_config, named_config
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.supernets import build_supernet
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.keypoints import Keypoints
from hwtickets.tasks.keypoints.affine import crop_matrices, mapped
from hwtickets.tasks.keypoints.datasets import load_persons
from hwtickets.tasks.keypoints.heatmaps import STRIDE, draw_heatmaps
from hwtickets.tasks.parts import load_part
from tests.tasks.keypoints.oracle import Oracle

MakeTask = Callable[..., Keypoints]


@pytest.fixture(scope="module")
def make_task() -> MakeTask:
    data = load_persons("figures:40", (64, 48))

    def make(**options: object) -> Keypoints:
        return Keypoints(data, **{"batch_size": 8, **options})  # type: ignore[arg-type]

    return make


class Small(nn.Module):
    """A small hourglass with heatmaps at a quarter of the resolution."""

    def __init__(self, joints: int, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Sequential(_block(3, width, 2), _block(width, width, 2))
        self.down, self.bottom = _block(width, width, 2), _block(width, 2 * width, 2)
        self.middle = nn.Sequential(_block(2 * width, 2 * width), _block(2 * width, width))
        self.lateral, self.merge = _block(width, width), _block(width, width)
        self.head = nn.Conv2d(width, joints, 1)
        nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        quarter = self.stem(x)
        eighth = self.down(quarter)
        eighth = eighth + _resized(self.middle(self.bottom(eighth)), eighth)
        return self.head(self.merge(self.lateral(quarter) + _resized(eighth, quarter)))


def _block(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(x, like.shape[2:], mode="bilinear")


def all_batches(task: Keypoints) -> tuple[Tensor, Tensor]:
    crops, targets = zip(*task.validation_batches(3), strict=True)
    return torch.cat(crops), torch.cat(targets)


def test_is_built_by_name_and_describes_itself() -> None:
    task = build_task("keypoints", TaskSettings("figures:24", (64, 48), 5))
    assert task.input_shape == (3, 64, 48)
    assert task.num_outputs == len(task.classes) == 13
    assert task.steps_per_epoch == 24 // 5
    assert (task.head, task.metric, task.metric_unit) == ("dense", "OKS AP", "%")


def test_how_heatmaps_are_made_and_read_is_a_matter_of_configuration() -> None:
    keys = {"task": "keypoints", "data": "figures:24", "resolution": "64x48", "batch_size": 8}

    def build(**more: object) -> Keypoints:
        config = load_config(None, {**keys, "budgets": {"macs": "50%"}, **more})
        task = build_task(config.task, config.task_settings())
        assert isinstance(task, Keypoints)
        return task

    usual, other = build(), build(decoding="soft", flip_test=False, sigma=2.5)
    assert (usual.finder.decoding, usual.finder.flip_test, usual.sigma) == ("shifted", True, None)
    targets = usual.train_batch(0)[1]
    assert other.loss(draw_heatmaps(targets, (16, 12), 2.5), targets) < 1e-9
    assert usual.loss(draw_heatmaps(targets, (16, 12), 2.5), targets) > 1e-4
    joints = all_batches(usual)[1]
    found = other.finder.poses(oracle := Oracle(joints), other.data.validation).joints
    assert oracle.seen == len(joints), "each crop was shown once"
    errors = np.abs(found - usual.data.validation.persons.joints[..., :2])
    assert errors.mean() < 0.1 * STRIDE
    with pytest.raises(UsageError, match="'decoding' is not right"):
        build(decoding="hard")


def test_shipped_configuration_builds_a_network_for_its_task() -> None:
    config = load_config(named_config("figures"), {"data": "figures:64"})
    task = build_task(config.task, config.task_settings())
    torch.manual_seed(0)
    sizes = config.supernet.sizes
    network = build_supernet(config.supernet.name, task.input_shape, task.num_outputs, sizes, task.head)
    crops, targets = task.train_batch(0)
    outputs = network(crops[:2])
    assert outputs.shape == (2, 13, 16, 16)
    nothing = task.loss(torch.zeros_like(outputs), targets[:2])
    assert task.loss(outputs, targets[:2]) < 2 * nothing


def test_train_batch_is_a_pure_function_of_seed_and_step(make_task: MakeTask) -> None:
    task = make_task()
    in_order = [task.train_batch(step) for step in range(6)]
    for step in (5, 0, 3):
        crops, targets = make_task().train_batch(step)
        assert torch.equal(crops, in_order[step][0])
        assert torch.equal(targets, in_order[step][1])
    assert not torch.equal(make_task(seed=1).train_batch(0)[0], in_order[0][0])
    assert not torch.equal(in_order[0][1], in_order[5][1])


def test_train_batch_has_the_form_that_training_wants(make_task: MakeTask) -> None:
    crops, targets = make_task().train_batch(0)
    assert (crops.shape, crops.dtype) == ((8, 3, 64, 48), torch.float32)
    assert (targets.shape, targets.dtype) == ((8, 13, 3), torch.float32)
    assert crops.is_contiguous(memory_format=torch.channels_last)
    assert set(targets[..., 2].unique().tolist()) <= {0.0, 1.0}


def test_parts_of_a_batch_are_the_batch(make_task: MakeTask) -> None:
    task = make_task()
    parts = [load_part(task, 3, index, 4) for index in range(4)]
    crops, targets = task.train_batch(3)
    assert torch.equal(torch.cat([part[0] for part in parts]), crops)
    assert torch.equal(torch.cat([part[1] for part in parts]), targets)


def test_calibration_batches_are_plain_training_crops(make_task: MakeTask) -> None:
    task = make_task()
    shown = torch.cat([task.calibration_batch(index) for index in range(5)]).sum((1, 2, 3))
    plain = Keypoints(load_persons("figures:40", (64, 48)), 40).calibration_batch(0).sum((1, 2, 3))
    torch.testing.assert_close(shown.sort().values, plain.sort().values, atol=0.1, rtol=0)
    assert torch.equal(task.calibration_batch(5), task.calibration_batch(0))


def test_validation_batches_show_everybody_in_order(make_task: MakeTask) -> None:
    task = make_task()
    whole = next(iter(task.validation_batches()))
    parts = all_batches(task)
    assert len(whole[0]) == 10
    assert torch.equal(parts[0], whole[0])
    assert torch.equal(parts[1], whole[1])


def test_right_heatmaps_cost_nothing_and_others_as_computed_by_hand(make_task: MakeTask) -> None:
    task = make_task(sigma=2.0)
    targets = task.train_batch(0)[1]
    right = draw_heatmaps(targets, (16, 12), 2.0)
    assert task.loss(right, targets).item() == pytest.approx(0, abs=1e-7)
    counted = targets[..., 2].mean().item()
    assert task.loss(right + 0.1, targets).item() == pytest.approx(0.5 * 0.01 * counted, rel=1e-4)
    assert task.imitation_loss(right + 0.1, right, 4.0).item() == pytest.approx(0.5 * 0.01, rel=1e-4)


def test_joints_that_do_not_count_do_not_cost(make_task: MakeTask) -> None:
    task = make_task()
    targets = task.train_batch(0)[1]
    targets[:, 4, 2] = 0
    outputs = torch.zeros(8, 13, 16, 12, requires_grad=True)
    task.loss(outputs, targets).backward()
    assert outputs.grad is not None
    assert outputs.grad[:, 4].abs().max() == 0
    assert outputs.grad[:, 5].abs().max() > 0


def test_right_heatmaps_score_nearly_everything(make_task: MakeTask) -> None:
    task = make_task(flip_test=False)
    oracle = Oracle(all_batches(task)[1])
    oracle.batch_norm.eval()
    scores = task.results(oracle, "validation")
    assert scores.ap > 95
    assert scores.ap50 == pytest.approx(100)
    assert oracle.modes == {False}
    assert (oracle.training, oracle.batch_norm.training) == (True, False)


def test_soft_decoding_places_joints_more_finely(make_task: MakeTask) -> None:
    errors = {}
    for decoding in ("shifted", "soft"):
        task = make_task(flip_test=False, decoding=decoding)
        split = task.data.validation
        found = task.finder.poses(Oracle(all_batches(task)[1]), split).joints
        errors[decoding] = np.abs(found - split.persons.joints[..., :2]).mean()
    assert 4 * errors["soft"] < errors["shifted"] < 0.25 * STRIDE


def test_flip_test_averages_with_the_mirrored_crop(make_task: MakeTask) -> None:
    """A network that sees what it is shown: the mirrored joints under their partners' names give the same."""
    task = make_task()
    targets = all_batches(task)[1]
    mirrored = targets[:, torch.from_numpy(task.data.skeleton.mirrored)].clone()
    mirrored[..., 0] = 48 - 1 - mirrored[..., 0]
    right = task.score(Oracle(torch.cat([targets, mirrored])), "validation")
    assert right > 95
    wrong = task.score(Oracle(torch.cat([targets, targets])), "validation")
    assert wrong < 60


def test_outputs_are_scored_without_data(make_task: MakeTask) -> None:
    task = make_task()
    targets = all_batches(task)[1]
    outputs = draw_heatmaps(targets, (16, 12), 1.5).numpy()
    assert task.score_outputs(outputs, targets.numpy()) == 100
    assert task.score_outputs(outputs[::-1], targets.numpy()) < 60
    outputs[:, :3] = np.roll(outputs[:, :3], 6, axis=2)
    counted = targets[..., 2].numpy() > 0
    expected = 100 * counted[:, 3:].sum() / counted.sum()
    assert task.score_outputs(outputs, targets.numpy()) == pytest.approx(expected, abs=5)
    assert task.score_outputs(outputs, np.zeros_like(targets.numpy())) == 0


def test_agreement_allows_for_the_neighbouring_cell(make_task: MakeTask) -> None:
    task = make_task()
    outputs = draw_heatmaps(all_batches(task)[1], (16, 12), 1.5).numpy()
    assert task.agreement(outputs, outputs) == 1
    assert task.agreement(outputs, draw_heatmaps(all_batches(task)[1] + 1.5, (16, 12), 1.5).numpy()) == 1
    moved = outputs.copy()
    moved[:, 0] = np.roll(moved[:, 0], 4, axis=1)
    assert task.agreement(outputs, moved) == pytest.approx(12 / 13)


def test_preprocessing_leads_to_the_network_input(make_task: MakeTask) -> None:
    task = make_task()
    recipe = task.preprocessing()
    assert json.loads(json.dumps(recipe)) == recipe
    assert (recipe["resolution"], recipe["crop"], recipe["color"]) == ([64, 48], "person box", "RGB")
    left, top, width, height = task.data.validation.persons.boxes[0]
    picture = task.data.validation.images.picture(0)
    reach = recipe["box_padding"] * max(width / 48, height / 64) / 2 * np.array([48, 64])
    middle = np.array([left + width / 2, top + height / 2])
    crop = picture.transform((48, 64), 0, _scaled(middle - reach, 2 * reach / (48, 64)), 2)
    pixels = (np.asarray(crop) / 255 - recipe["mean"]) / recipe["std"]
    shown = next(iter(task.validation_batches(1)))[0][0].permute(1, 2, 0).numpy()
    assert np.abs(pixels - shown).max() < 0.03


def _scaled(corner: np.ndarray, step: np.ndarray) -> tuple[float, ...]:
    return (step[0], 0, corner[0], 0, step[1], corner[1])


@pytest.mark.parametrize("resolution", [(62, 48), (64, 46), (28, 28)])
def test_resolution_must_suit_heatmaps(make_task: MakeTask, resolution: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="keypoints need multiples of 4, at least 32"):
        make_task(resolution=resolution)


def test_batch_larger_than_the_data_is_refused(make_task: MakeTask) -> None:
    with pytest.raises(UsageError, match="there are 40 training"):
        make_task(batch_size=41)


def test_missing_library_is_named_before_training(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(HwticketsError, match="pycocotools is not installed"):
        make_task()


def test_detector_boxes_are_scored_on_images_of_files(coco_folder: Path, tmp_path: Path) -> None:
    """Each person is found twice, in one box and in another, and counted once."""
    found = [
        {"image_id": image, "category_id": 3, "bbox": [image + side, side, 40, 40], "score": 0.5 + side / 9}
        for image in range(30, 34)
        for side in (0, 1)
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    data = load_persons(f"coco:{coco_folder},boxes={tmp_path / 'found.json'}")
    task = Keypoints(data, 4, (64, 64), flip_test=False, decoding="soft")
    boxes = data.test.candidates
    joints = mapped(crop_matrices(boxes.boxes, (64, 64)), data.test.truth.joints[boxes.images][..., :2])
    assert len(boxes) == 8
    assert len(task.finder.poses(Oracle(torch.from_numpy(joints)), data.test).images) == 4
    assert task.score(Oracle(torch.from_numpy(joints)), "test") == pytest.approx(100, abs=1)


def test_figures_can_be_learnt() -> None:
    task = Keypoints(load_persons("figures:256", (48, 48)), 32)
    crops, targets = next(iter(task.validation_batches()))
    everywhere_the_mean = draw_heatmaps(targets.mean(0, keepdim=True).expand_as(targets), (12, 12), 1.5)
    chance = task.score_outputs(everywhere_the_mean.numpy(), targets.numpy())
    torch.manual_seed(0)
    network = Small(13)
    optimizer = torch.optim.AdamW(network.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=120)
    for step in range(120):
        images, wanted = task.train_batch(step)
        optimizer.zero_grad()
        task.loss(network(images), wanted).backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        learnt = task.score_outputs(network(crops).numpy(), targets.numpy())
    assert chance < 40
    assert learnt > chance + 15
    assert task.score(network, "validation") > 10

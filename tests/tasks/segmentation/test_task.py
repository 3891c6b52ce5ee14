from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.segmentation import Segmentation
from hwtickets.tasks.segmentation.data import load_scenes
from hwtickets.tasks.task import score_on_test


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_masks: Callable[..., Path]) -> Path:
    return write_masks(tmp_path_factory.mktemp("data") / "scenes", {"train": 10, "val": 4, "test": 5})


@pytest.fixture(scope="module")
def task(folder: Path) -> Segmentation:
    return make(folder)


def make(folder: Path, batch_size: int = 3, label_smoothing: float = 0.0, seed: int = 0) -> Segmentation:
    return Segmentation(load_scenes(f"masks:{folder}"), batch_size, label_smoothing, seed)


class Oracle(nn.Module):
    """Answers with fixed label maps, a quarter as large, whatever it is shown."""

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.answers = labels
        self.frozen = nn.BatchNorm2d(1).eval()
        self.seen = 0
        self.modes: set[bool] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.modes.add(self.training)
        answers = self.answers[self.seen : self.seen + len(images)]
        self.seen += len(images)
        return nn.functional.one_hot(answers, 3).permute(0, 3, 1, 2).float()


def test_describes_itself(folder: Path) -> None:
    task = build_task("segmentation", TaskSettings(f"masks:{folder}", (16, 28), 4))
    assert (task.name, task.head, task.metric, task.metric_unit) == ("segmentation", "dense", "mIoU", "%")
    assert task.input_shape == (3, 16, 28)
    assert task.num_outputs == len(task.classes) == 3
    assert task.steps_per_epoch == 10 // 4


def test_train_batch_is_a_pure_function_of_seed_and_step(task: Segmentation, folder: Path) -> None:
    in_order = [task.train_batch(step) for step in range(5)]
    again = make(folder)
    for step in (4, 0, 3):
        images, labels = again.train_batch(step)
        assert torch.equal(images, in_order[step][0])
        assert torch.equal(labels, in_order[step][1])
    assert not torch.equal(make(folder, seed=1).train_batch(0)[0], in_order[0][0])
    assert not torch.equal(in_order[3][1], in_order[0][1]), "the next epoch must come in another order"


def test_parts_of_a_batch_are_loaded_alone(folder: Path) -> None:
    task = make(folder, batch_size=4)
    parts = [task.train_part(3, index, 2) for index in range(2)]
    images, labels = task.train_batch(3)
    assert [len(part) for part, _ in parts] == [2, 2]
    assert torch.equal(torch.cat([part for part, _ in parts]), images)
    assert torch.equal(torch.cat([part for _, part in parts]), labels)


def test_batches_have_the_form_that_training_wants(task: Segmentation) -> None:
    images, labels = task.train_batch(0)
    assert (images.shape, images.dtype) == ((3, 3, 24, 32), torch.float32)
    assert (labels.shape, labels.dtype) == ((3, 24, 32), torch.uint8)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_augmentation_keeps_colours_at_their_classes(task: Segmentation) -> None:
    """Boxes are red, balls blue: told by the colour, most pixels must have the class of their label."""
    right = count = 0
    for step in range(6):
        images, labels = task.train_batch(step)
        pixels = images * task.data.std[:, None, None] + task.data.mean[:, None, None]
        red, green, blue = pixels.unbind(1)
        told = torch.where(red > green + 0.2, 1, torch.where(blue > green + 0.2, 2, 0))
        right += int((told == labels)[labels != 255].sum())
        count += int((labels != 255).sum())
    assert right / count > 0.93


def test_outside_of_a_scene_there_is_the_mean_colour(task: Segmentation) -> None:
    images, labels = (torch.cat(parts) for parts in zip(*map(task.train_batch, range(6)), strict=True))
    outside = images.permute(0, 2, 3, 1)[:, -1][labels[:, -1] == 255]
    assert len(outside) > 50
    assert outside.abs().max() < 0.02


def test_calibration_batches_are_whole_training_scenes(task: Segmentation) -> None:
    shown = torch.cat([task.calibration_batch(index) for index in range(3)])
    whole = [task._whole(task.data.train, torch.tensor([index]))[0][0] for index in range(10)]
    assert all(any(torch.equal(image, other) for other in whole) for image in shown)
    assert len({image.sum().item() for image in shown}) == 9
    assert torch.equal(task.calibration_batch(3), task.calibration_batch(0))


def test_validation_batches_show_every_scene_in_order(task: Segmentation) -> None:
    images, labels = next(iter(task.validation_batches()))
    parts = list(task.validation_batches(3))
    assert [len(part) for part, _ in parts] == [3, 1]
    assert torch.equal(torch.cat([part for _, part in parts]), labels)
    assert torch.equal(labels[2], torch.from_numpy(np.array(task.data.validation[2].labels)))
    torch.testing.assert_close(torch.cat([part for part, _ in parts]), images)


def test_preprocessing_leads_to_the_network_input(task: Segmentation) -> None:
    recipe = task.preprocessing()
    pixels = torch.from_numpy(np.array(task.data.test[0].image)).permute(2, 0, 1)
    mean, std = (torch.tensor(recipe[key])[:, None, None] for key in ("mean", "std"))
    images, _ = next(task.test_batches())
    torch.testing.assert_close((pixels / 255 - mean) / std, images[0], atol=1e-4, rtol=1e-4)
    assert (recipe["color"], recipe["resolution"], recipe["layout"]) == ("RGB", [24, 32], "NCHW")


def test_loss_is_the_cross_entropy_of_labelled_pixels(task: Segmentation) -> None:
    outputs = torch.randn(2, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    labels = torch.full((2, 4, 4), 255, dtype=torch.uint8)
    labels[0, 1, 2], labels[1, 3, 3] = 1, 2
    logs = outputs[..., 0, 0].log_softmax(1)
    torch.testing.assert_close(task.loss(outputs, labels), -(logs[0, 1] + logs[1, 2]) / 2)


def test_ignored_pixels_have_no_part_in_the_loss(task: Segmentation) -> None:
    outputs = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    labels[:, :2] = 255
    task.loss(outputs, labels).backward()
    assert outputs.grad is not None
    assert outputs.grad[:, :, :2].abs().max() == 0
    assert outputs.grad[:, :, 2:].abs().min() > 0


def test_loss_without_any_label_is_zero(task: Segmentation) -> None:
    outputs = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = task.loss(outputs, torch.full((1, 8, 8), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert outputs.grad.abs().max() == 0


def test_labels_can_be_smoothed(folder: Path) -> None:
    outputs, labels = torch.tensor([2.0, 0.0, -1.0])[None, :, None, None], torch.zeros(1, 4, 4).byte()
    logs = outputs[0, :, 0, 0].log_softmax(0)
    expected = -(0.9 * logs[0] + 0.1 * logs.mean())
    torch.testing.assert_close(make(folder, label_smoothing=0.1).loss(outputs, labels), expected)


def test_imitation_is_the_divergence_of_every_pixel(task: Segmentation) -> None:
    own, taught = torch.randn(2, 2, 3, 5, 4, generator=torch.Generator().manual_seed(0)).unbind()
    assert task.imitation_loss(taught, taught, 4).item() == pytest.approx(0, abs=1e-6)
    right, told = (taught / 2).softmax(1), (own / 2).log_softmax(1)
    expected = 4 * (right * (right.log() - told)).sum() / (2 * 5 * 4)
    torch.testing.assert_close(task.imitation_loss(own, taught, 2), expected)


def test_score_is_taken_over_the_whole_split(task: Segmentation) -> None:
    labels = torch.cat([labels for _, labels in task.test_batches()]).long()
    answers = torch.where(labels == 255, 0, labels)
    assert task.score(Oracle(answers), "test") == pytest.approx(100)
    assert task.scores(Oracle(answers * 0), "test").class_iou[1:] == [0, 0]
    share = (labels == 0).sum() / (labels != 255).sum()
    assert task.scores(Oracle(answers * 0), "test").aacc == pytest.approx(100 * share.item())


def test_all_figures_come_of_one_evaluation(task: Segmentation) -> None:
    answers = torch.cat([labels for _, labels in task.test_batches()]).long() % 3
    whole = task.scores(Oracle(answers * 0), "test")
    score, figures = score_on_test(task, oracle := Oracle(answers * 0))
    assert figures == {"mIoU": whole.miou, "mAcc": whole.macc, "aAcc": whole.aacc}
    assert score == whole.miou == task.score(Oracle(answers * 0), "test")
    assert len({round(figure, 6) for figure in figures.values()}) == 3
    assert oracle.seen == len(answers)


def test_score_evaluates_and_puts_every_mode_back(task: Segmentation) -> None:
    model = Oracle(torch.zeros(4, 6, 8, dtype=torch.int64)).train()
    model.frozen.eval()
    task.score(model, "validation")
    assert model.modes == {False}
    assert model.training
    assert not model.frozen.training


def test_outputs_are_enlarged_bilinearly_before_they_are_scored() -> None:
    outputs = np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)[None, :, None]
    # The left one is surer of itself: the border, where both are as likely, is right of the middle.
    labels = np.array([[[0, 0, 0, 0, 0, 1, 1, 1]]], np.uint8)
    assert Segmentation.score_outputs(outputs, labels) == pytest.approx(100)
    labels[0, 0, 4:6] = [1, 255]
    assert Segmentation.score_outputs(outputs, labels) == pytest.approx((80 + 200 / 3) / 2)


def test_agreement_is_a_share_of_pixels() -> None:
    outputs = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    other = outputs.copy()
    other[0, :, 1] = -outputs[0, :, 1]
    assert Segmentation.agreement(outputs, outputs) == 1
    changed = (outputs[0, :, 1].argmax(0) != other[0, :, 1].argmax(0)).sum()
    assert Segmentation.agreement(outputs, other) == pytest.approx(1 - changed / 40)


@pytest.mark.parametrize("batch_size", [0, 11])
def test_batch_that_does_not_fit_the_data_is_refused(folder: Path, batch_size: int) -> None:
    with pytest.raises(UsageError, match="10 training images"):
        make(folder, batch_size)


def test_a_network_learns_to_segment(tmp_path: Path, write_masks: Callable[..., Path]) -> None:
    torch.manual_seed(0)
    folder = write_masks(tmp_path / "scenes", {"train": 16, "val": 8, "test": 8})
    task = make(folder, batch_size=8)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, task.num_outputs, 1),
    )  # fmt: skip
    untrained = task.score(model, "test")
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for step in range(60):
        images, labels = task.train_batch(step)
        optimizer.zero_grad()
        task.loss(model(images), labels).backward()
        optimizer.step()
    ground_alone = task.score(Oracle(torch.zeros(8, 6, 8, dtype=torch.int64)), "test")
    assert task.score(model, "test") > max(60, untrained + 20, ground_alone + 20)

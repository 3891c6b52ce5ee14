from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.datasets import load_dataset

MakeTask = Callable[..., Classification]


@pytest.fixture
def make_task(fashion_folder: Path) -> MakeTask:
    def make(seed: int = 0, batch_size: int = 40, label_smoothing: float = 0.0) -> Classification:
        data = load_dataset(f"fashion-mnist:{fashion_folder}")
        return Classification(data, batch_size, label_smoothing, seed)

    return make


class Oracle(nn.Module):
    """Answers with fixed classes, whatever it is shown."""

    def __init__(self, answers: Tensor) -> None:
        super().__init__()
        self.answers = answers
        self.frozen = nn.BatchNorm2d(1).eval()
        self.seen = 0
        self.modes: set[bool] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.modes.add(self.training)
        answers = self.answers[self.seen : self.seen + len(images)]
        self.seen += len(images)
        return nn.functional.one_hot(answers, 10).float()


def test_describes_itself(make_task: MakeTask) -> None:
    task = make_task()
    assert task.input_shape == (1, 28, 28)
    assert task.num_outputs == len(task.classes) == 10
    assert task.steps_per_epoch == 180 // 40


def test_train_batch_is_a_pure_function_of_seed_and_step(make_task: MakeTask) -> None:
    task = make_task()
    in_order = [task.train_batch(step) for step in range(6)]
    for step in (5, 0, 3):
        images, labels = make_task().train_batch(step)
        assert torch.equal(images, in_order[step][0])
        assert torch.equal(labels, in_order[step][1])
    assert not torch.equal(make_task(seed=1).train_batch(0)[0], in_order[0][0])


def test_train_batch_has_the_form_that_training_wants(make_task: MakeTask) -> None:
    images, labels = make_task().train_batch(0)
    assert (images.shape, images.dtype, labels.dtype) == ((40, 1, 28, 28), torch.float32, torch.int64)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_one_epoch_shows_no_image_twice(make_task: MakeTask) -> None:
    task = make_task(batch_size=60)
    labels = torch.cat([task.train_batch(step)[1] for step in range(3)])
    assert torch.bincount(labels).tolist() == [18] * 10
    first, second = (task.train_batch(step)[1] for step in (0, 3))
    assert not torch.equal(first, second), "the next epoch must come in another order"


def test_last_short_batch_is_dropped(make_task: MakeTask) -> None:
    task = make_task(batch_size=100)
    assert task.steps_per_epoch == 1
    assert all(len(task.train_batch(step)[1]) == 100 for step in range(3))


def test_training_images_are_normalised(make_task: MakeTask) -> None:
    task = make_task()
    images = torch.cat([task.calibration_batch(index) for index in range(4)])
    assert images.mean().item() == pytest.approx(0, abs=0.1)
    assert images.std().item() == pytest.approx(1, abs=0.1)


def test_calibration_batches_are_plain_training_images(make_task: MakeTask) -> None:
    task = make_task(batch_size=90)
    shown = torch.cat([task.calibration_batch(0), task.calibration_batch(1)])
    pixels = task.dataset.train.batch(torch.arange(180))
    plain = (pixels / 255 - task.dataset.mean[0]) / task.dataset.std[0]
    assert sorted(shown.sum((1, 2, 3)).tolist()) == pytest.approx(
        sorted(plain.sum((1, 2, 3)).tolist()), abs=1e-2
    )
    assert torch.equal(task.calibration_batch(2), task.calibration_batch(0))


def test_validation_batches_show_every_image_in_order(make_task: MakeTask) -> None:
    task = make_task()
    whole = next(iter(task.validation_batches()))
    parts = list(task.validation_batches(batch_size=7))
    assert torch.equal(torch.cat([labels for _, labels in parts]), whole[1])
    torch.testing.assert_close(torch.cat([images for images, _ in parts]), whole[0])


def test_preprocessing_leads_to_the_network_input(make_task: MakeTask) -> None:
    task = make_task()
    recipe = task.preprocessing()
    pixels = task.dataset.test.batch(torch.arange(3))
    mean, std = (torch.tensor(recipe[key])[:, None, None] for key in ("mean", "std"))
    images, _ = next(task.test_batches(3))
    torch.testing.assert_close((pixels / 255 - mean) / std, images, atol=1e-4, rtol=1e-4)
    assert (recipe["color"], recipe["resolution"], recipe["layout"]) == ("grey", 28, "NCHW")


def test_score_counts_right_answers(make_task: MakeTask) -> None:
    task = make_task()
    answers = torch.cat([labels for _, labels in task.test_batches()])
    assert task.score(Oracle(answers), "test") == 100
    answers[:10] = (answers[:10] + 1) % 10
    assert task.score(Oracle(answers), "test") == 75


def test_score_evaluates_and_puts_every_mode_back(make_task: MakeTask) -> None:
    task = make_task()
    model = Oracle(torch.zeros(20, dtype=torch.int64)).train()
    model.frozen.eval()
    task.score(model, "validation")
    assert model.modes == {False}
    assert model.training
    assert not model.frozen.training


def test_loss_is_smoothed_cross_entropy(make_task: MakeTask) -> None:
    outputs, labels = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    logs = outputs.log_softmax(1)[0]
    expected = -(0.9 * logs[0] + 0.1 * logs.mean())
    torch.testing.assert_close(make_task(label_smoothing=0.1).loss(outputs, labels), expected)


@pytest.mark.parametrize("batch_size", [0, 181])
def test_batch_that_does_not_fit_the_data_is_refused(make_task: MakeTask, batch_size: int) -> None:
    with pytest.raises(UsageError, match="180 training images"):
        make_task(batch_size=batch_size)

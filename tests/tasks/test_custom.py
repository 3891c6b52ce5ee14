from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.structure import Structure
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.assignment import Assignment, UserTask
from hwtickets.tasks.custom import register
from hwtickets.tasks.task import Task, score_on_test

IMAGES, LABELS = torch.arange(70.0).view(70, 1, 1, 1).expand(70, 1, 8, 8), torch.arange(70) % 3
EXAMPLES = TensorDataset(IMAGES, LABELS)


def _accuracy(outputs: Tensor, targets: Tensor) -> float:
    return 100 * (outputs.argmax(1) == targets).float().mean().item()


def _task(train: Any, validation: Any = EXAMPLES, seed: int = 0, **more: Any) -> Task:
    given = {"loss": nn.functional.cross_entropy, "score": _accuracy, **more}
    name = register(Assignment.of(UserTask(train, validation, **given), 3))
    return build_task("custom", TaskSettings(name, None, 20, 0.0, seed))


class _Noisy(TensorDataset):
    """Augments by everything that people draw from."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = super().__getitem__(index)
        return x + torch.rand(1) + np.random.rand() + random.random(), y


def test_batches_of_a_data_set_are_functions_of_seed_and_step() -> None:
    first, again, other = (_task(_Noisy(IMAGES, LABELS), seed=seed) for seed in (0, 0, 1))
    batches = [first.train_batch(step) for step in range(8)]
    torch.rand(3)
    for step in (5, 2):
        assert torch.equal(again.train_batch(step)[0], batches[step][0])
    assert not torch.equal(other.train_batch(5)[0], batches[5][0])
    assert first.steps_per_epoch == 3 and first.input_shape == (1, 8, 8) and batches[0][0].shape[0] == 20
    assert torch.equal(first.calibration_batch(1), again.calibration_batch(1))


def test_what_is_drawn_elsewhere_goes_on_as_if_nothing_had_been_loaded() -> None:
    task = _task(_Noisy(IMAGES, LABELS))
    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    expected = torch.rand(1).item(), random.random(), np.random.rand()
    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    task.train_batch(0)
    assert (torch.rand(1).item(), random.random(), np.random.rand()) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_step_of_a_loader_is_found_again(workers: int) -> None:
    def loaded() -> Task:
        return _task(DataLoader(EXAMPLES, 16, shuffle=True, num_workers=workers))

    first, again = loaded(), loaded()
    batches = [first.train_batch(step) for step in range(7)]
    assert first.steps_per_epoch == 5
    for step in [6] if workers else [6, 3, 4, 0]:
        assert torch.equal(again.train_batch(step)[1], batches[step][1])
    shown = torch.cat([x[:, 0, 0, 0] for x, _ in batches[:5]])
    assert torch.equal(shown.sort().values, IMAGES[:, 0, 0, 0]) and not torch.equal(
        batches[0][0], batches[5][0]
    )


def test_any_loader_that_can_be_gone_through_again_will_do() -> None:
    class Plain:
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Iterator[list[Tensor]]:
            yield from ([IMAGES[20 * k :][:20], LABELS[20 * k :][:20]] for k in range(3))

    task = _task(Plain())
    assert torch.equal(task.train_batch(4)[1], LABELS[20:40])
    assert sum(len(x) for x, _ in task.validation_batches(32)) == 70


def test_scores_are_of_all_outputs_at_once() -> None:
    class Guess(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.one_hot(x[:, 0, 0, 0].long() % 3, 3) * self.scale

    task = _task(EXAMPLES, DataLoader(EXAMPLES, 16), test=TensorDataset(IMAGES[:3], 2 - LABELS[:3]))
    assert task.score(Guess(), "validation") == 100
    assert score_on_test(task, Guess()) == (pytest.approx(100 / 3), {})
    assert score_on_test(_task(EXAMPLES), Guess()) == (None, {})
    assert type(task).score_outputs(np.eye(3, dtype=np.float32), np.array([0, 1, 1])) == pytest.approx(
        200 / 3
    )


def test_a_teacher_of_one_output_teaches() -> None:
    single = UserTask(TensorDataset(IMAGES, LABELS % 2), EXAMPLES, _accuracy, _accuracy)
    task = build_task("custom", TaskSettings(register(Assignment(single, 1)), None, 20, 0.0, 0))
    own, taught = torch.tensor([[0.5], [-1.0]]), torch.tensor([[2.0], [-1.0]])
    # Of two classes with the probabilities p and 1 - p, the softer ones at half the logits.
    p, q = torch.sigmoid(taught / 2), torch.sigmoid(own / 2)
    expected = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum() / 2
    torch.testing.assert_close(task.imitation_loss(own, taught, 2.0), expected)
    counts = UserTask(EXAMPLES, EXAMPLES, _accuracy, _accuracy)
    task = build_task("custom", TaskSettings(register(Assignment(counts, 1)), None, 20, 0.0, 0))
    assert float(task.imitation_loss(own, taught, 2.0)) == pytest.approx(1.5**2 / 2)


class _Boxed(TensorDataset):
    """A class and a box for each image, in a dict."""

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return x, {"label": y, "box": [float(y), torch.ones(2)]}


OUTPUTS = Structure.of([torch.zeros(1, 3), {"side": torch.zeros(1, 2, 2)}], "outputs")


def _parts_task(train: Any, validation: Any, **given: Any) -> Task:
    name = register(Assignment.of(UserTask(train, validation, **given), 7, OUTPUTS))
    return build_task("custom", TaskSettings(name, None, 20))


def test_loss_and_score_see_outputs_and_targets_as_their_author_has_them() -> None:
    def loss(outputs: Any, targets: Any) -> Tensor:
        logits, more = outputs
        number, ones = targets["box"]
        assert more["side"].shape == (len(logits), 2, 2) and ones.shape == (len(logits), 2)
        assert targets["label"].dtype == torch.int64 and torch.equal(number, targets["label"].double())
        return nn.functional.cross_entropy(logits, targets["label"]) + more["side"].square().mean()

    task = _parts_task(
        _Boxed(IMAGES, LABELS),
        _Boxed(IMAGES, LABELS),
        loss=loss,
        score=lambda o, t: _accuracy(o[0], t["label"]),
    )
    x, targets = task.train_batch(0)
    outputs = torch.cat([nn.functional.one_hot(x[:, 0, 0, 0].long() % 3, 3), torch.ones(20, 4)], 1)
    assert float(task.loss(outputs, targets)) == pytest.approx(1.5514, abs=1e-3)
    (_, right) = next(task.validation_batches())
    answers = torch.cat([nn.functional.one_hot(LABELS, 3), torch.zeros(70, 4)], 1)
    assert type(task).score_outputs(answers.float().numpy(), right.numpy()) == 100


def test_a_teacher_of_several_outputs_teaches_all_alike() -> None:
    task = _parts_task(EXAMPLES, EXAMPLES, loss=_accuracy, score=_accuracy)
    taught = torch.cat(
        [torch.tensor([[0.0, 1.0, 2.0]] * 2), 100 * torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 2)], 1
    )
    assert float(task.imitation_loss(taught, taught, 4.0)) == 0
    off = taught + torch.cat([torch.full((2, 3), 2 / 3).sqrt(), torch.zeros(2, 4)], 1)
    assert float(task.imitation_loss(off, taught, 4.0)) == pytest.approx(0.25), "as large as the variance"
    off = taught + torch.cat([torch.zeros(2, 3), 100 * torch.full((2, 4), 1.25).sqrt()], 1)
    assert float(task.imitation_loss(off, taught, 4.0)) == pytest.approx(0.25)


def test_one_tensor_in_a_dict_is_taught_as_it_is_alone() -> None:
    examples = [(x, {"label": y}) for x, y in EXAMPLES]
    given = {"loss": _accuracy, "score": _accuracy}
    outputs = Structure.of({"logits": torch.zeros(1, 3)}, "outputs")
    name = register(Assignment.of(UserTask(examples, examples, **given), 3, outputs))
    own, taught = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[2.0, 0.0, 1.0]])
    loss = build_task("custom", TaskSettings(name, None, 20)).imitation_loss(own, taught, 2.0)
    assert float(loss) == float(_task(EXAMPLES).imitation_loss(own, taught, 2.0)) > 0


def test_targets_of_another_structure_are_one_line() -> None:
    given = {"loss": _accuracy, "score": _accuracy}
    with pytest.raises(
        UsageError, match=r"the validation data yields targets of one tensor; expected .* label a"
    ):
        _parts_task(_Boxed(IMAGES, LABELS), EXAMPLES, **given)
    with pytest.raises(
        UsageError, match=r"the loss failed \(KeyError: 'edge'\) on outputs of shapes 0 3, 1.side 2x2"
    ):
        _parts_task(EXAMPLES, EXAMPLES, loss=lambda o, t: o[1]["edge"], score=_accuracy).loss(
            torch.zeros(2, 7), LABELS[:2]
        )


def test_a_task_says_what_it_is() -> None:
    task = _task(EXAMPLES, metric="error", metric_unit="mm", higher_is_better=False, classes=["a", "b", "c"])
    assert (task.metric, task.metric_unit, task.higher_is_better) == ("error", "mm", False)
    assert task.classes == ["a", "b", "c"] and task.num_outputs == 3


class _Empty:
    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class _Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(EXAMPLES)


class _Broken:
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        raise OSError("no such file")


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (TensorDataset(IMAGES[:0]), "the train data is empty"),
        (_Empty(), "the train loader is empty"),
        (iter([1]), "train is a list_iterator, which is neither a data set"),
        ([{"image": IMAGES[0]}] * 20, "yields a dict with the keys 'image'; expected a pair"),
        ([IMAGES[0]] * 20, r"yields a tensor of shape \(2, 1, 8, 8\); expected a pair"),
        ([(IMAGES[0], LABELS[0], 3)] * 20, "yields a list of a tensor of shape"),
        (
            [(IMAGES[0], "cat")] * 20,
            "targets of the train data: 0 is a str; expected tensors, in lists, tuples or dicts",
        ),
        ([(IMAGES[0].byte(), 1)] * 20, "yields inputs of torch.uint8; expected floating point"),
        (
            DataLoader(TensorDataset(IMAGES[:, 0, 0], LABELS), 8),
            r"the validation data yields inputs of shape \(2, 1, 8, 8\); expected ones like .* \(8, 8\)",
        ),
        ([(IMAGES[0, :, :k], 1) for k in range(1, 9)], "cannot be put into one batch: stack expects"),
        (None, "train is a NoneType, which is neither a data set"),
        (
            DataLoader(_Endless(), 8),
            "train is a DataLoader, which is neither .* nor a loader that has a length",
        ),
        (_Broken(), r"example 0 of the train data failed \(OSError: no such file\)"),
        ([(IMAGES[0].repeat(3, 1, 1), 1)] * 20, r"the validation data yields .*; expected .* \(2, 3, 8, 8\)"),
    ],
)
def test_data_that_is_no_data_is_one_line(train: Any, said: str) -> None:
    with pytest.raises(HwticketsError, match=said) as raised:
        _task(train)
    assert "\n" not in str(raised.value)


def _later(x: Tensor | Exception) -> Any:
    """A loader whose second batch is another than the first."""

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield IMAGES[:4], LABELS[:4]
        if isinstance(x, Exception):
            raise x
        yield x, LABELS[:4]

    return type("Loader", (), {"__len__": lambda _: 2, "__iter__": lambda _: batches()})()


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(4, 3, 8, 8), r"inputs of shape \(4, 3, 8, 8\); .* first batch, \(4, 1, 8, 8\)"),
        (torch.full((4, 1, 8, 8), torch.nan), "the train data yields inputs that are not finite"),
        (KeyError("file 3\nmissing"), "batch 1 of the train loader failed .KeyError: 'file 3.*missing'"),
    ],
)
def test_a_later_batch_of_another_kind_is_one_line(x: Tensor | Exception, said: str) -> None:
    task = _task(_later(x))
    task.train_batch(0)
    with pytest.raises(HwticketsError, match=said) as raised:
        task.train_batch(1)
    assert "\n" not in str(raised.value)


def test_images_of_a_loader_may_differ_in_size() -> None:
    assert _task(_later(torch.zeros(4, 1, 6, 9))).train_batch(1)[0].shape == (4, 1, 6, 9)


def test_a_loader_that_ends_early_is_one_line() -> None:
    class Once(list[Any]):
        __getitem__ = None  # type: ignore[assignment]

        def __iter__(self) -> Iterator[Any]:
            yield IMAGES[:20], LABELS[:20]

    once = type("Loader", (), {"__len__": lambda _: 4, "__iter__": lambda _: Once().__iter__()})()
    with pytest.raises(HwticketsError, match="train loader ended after 1 of the 4 batches"):
        _task(once).train_batch(2)


def test_losses_and_scores_that_are_no_numbers_are_one_line() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    x, y = IMAGES[:4], LABELS[:4]
    with pytest.raises(UsageError, match=r"the loss gave a tensor of shape \(4,\); expected one number"):
        _task(EXAMPLES, loss=lambda o, t: nn.functional.cross_entropy(o, t, reduction="none")).loss(
            model(x), y
        )
    with pytest.raises(UsageError, match="the loss does not lead back to the outputs"):
        _task(EXAMPLES, loss=lambda o, t: (o.argmax(1) != t).float().mean()).loss(model(x), y)
    with pytest.raises(
        UsageError, match=r"the score on validation is a tensor of shape \(\d+,\); expected one"
    ):
        _task(EXAMPLES, score=lambda o, t: (o.argmax(1) == t).float()).score(model, "validation")
    with pytest.raises(HwticketsError, match="the score on validation is nan"):
        _task(EXAMPLES, score=lambda o, t: float("nan")).score(model, "validation")
    with pytest.raises(UsageError, match="the score on validation is 'good'; expected one number"):
        _task(EXAMPLES, score=lambda o, t: "good").score(model, "validation")


def test_a_task_of_another_process_is_one_line() -> None:
    with pytest.raises(UsageError, match="task custom is a Python object that this process does not hold"):
        build_task("custom", TaskSettings("live:nothing"))

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwtickets.deploy.bundle import write_bundle
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks.task import Task
from tests.export.conftest import run_program


@pytest.fixture(scope="module")
def exported(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ticket's bundle, away from everything that it was made of, and an image to classify."""
    made = write_bundle(ticket_folder, tmp_path_factory.mktemp("exported") / "bundle")
    return Path(shutil.move(made, tmp_path_factory.mktemp("board") / "bundle"))


@pytest.fixture(scope="module")
def shoe(exported: Path, tiny_task: Task) -> str:
    pixels = tiny_task.dataset.test.batch(torch.tensor([0]))[0, 0].numpy()  # type: ignore[attr-defined]
    for name in ("shoe.png", "shoe.ppm"):
        Image.fromarray(pixels).save(exported / name)
    return "shoe"


@pytest.fixture(scope="module")
def answer(ticket_folder: Path, tiny_task: Task) -> str:
    """What PyTorch says of the image, in the runners' words."""
    x, _ = next(tiny_task.test_batches(1))
    with torch.no_grad():
        chances = Ticket.load(ticket_folder).module()(x)[0].softmax(0)
    order = chances.argsort(descending=True)
    return ", ".join(f"{tiny_task.classes[i]} {100 * chances[i]:.1f} %" for i in order)


def test_python_says_what_pytorch_says(
    exported: Path, shoe: str, answer: str, boards: Callable[..., Path]
) -> None:
    board = boards("numpy", "onnxruntime", "PIL")
    done = run_program(board, "run.py", "predict", "--top", "10", f"{shoe}.png", folder=exported)
    assert (done.stdout, done.stderr) == (f"{shoe}.png: {answer}\n", "")


def test_c_says_what_pytorch_says(exported: Path, shoe: str, answer: str, built: Path) -> None:
    done = run_program(built, "predict", ".", "--top", "10", f"{shoe}.ppm", folder=exported)
    assert (done.stdout, done.stderr) == (f"{shoe}.ppm: {answer}\n", "")


def test_the_samples_are_computed_alike(exported: Path, built: Path, boards: Callable[..., Path]) -> None:
    board = boards("numpy", "onnxruntime")
    by_python = run_program(board, "run.py", "check", "--output", "python.npy", folder=exported)
    by_cpp = run_program(built, "check", ".", "--output", "cpp.npy", folder=exported)
    assert by_python.returncode == 0 and "same decisions 100.00 %" in by_python.stdout, by_python.stderr
    assert (by_cpp.stdout, by_cpp.stderr) == (by_python.stdout, "")
    np.testing.assert_array_equal(np.load(exported / "cpp.npy"), np.load(exported / "python.npy"))

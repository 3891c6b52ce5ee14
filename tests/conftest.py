from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before torch is imported: waiting threads give the core away instead of spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from torch import nn

from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.task import Task

SAMPLE = Path(__file__).parent / "data" / "fashion-mnist"
#: Files that take the longest, or are one long test.
LONGEST = (
    "test_docs.py",
    "test_resume.py",
    "test_commands.py",
    "test_boards.py",
    "test_pipelines.py",
    "test_remote.py",
    "test_processes.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest files, so that no worker is left alone with one of them in the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps this machine's own tables out of the tests, and the tests' tables out of its home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWTICKETS_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_sizes() -> dict[str, Any]:
    """Sizes of a supernet of two blocks with two branches each, 16 and 32 channels wide."""
    stages = [[16, 1, 1], [16, 1, 2]]
    return {"stem_channels": 8, "stages": stages, "expand_ratio": 2, "kernel_sizes": [3, 5]}


@pytest.fixture(scope="session")
def tiny_task() -> Task:
    """Fashion-MNIST in miniature: 183 training images of 12x12 pixels, 9 steps an epoch."""
    return build_task("classification", TaskSettings(f"fashion-mnist:{SAMPLE}", (12, 12), 20, 0.1))


@pytest.fixture(scope="session")
def tiny_model(tiny_sizes: dict[str, Any]) -> Callable[..., Supernet]:
    """Builds the tiny supernet; `shaken`, its batch norms and biases are as after a training."""

    def build(seed: int = 0, shaken: bool = False) -> Supernet:
        torch.manual_seed(seed)
        model = build_supernet("mobile", (1, 12, 12), 10, tiny_sizes)
        return _shake(model) if shaken else model

    return build


@pytest.fixture(scope="session")
def shake() -> Callable[[nn.Module], nn.Module]:
    """Gives all batch norms and biases random values."""
    return _shake


@pytest.fixture(scope="session")
def tiny_space(tiny_model: Callable[..., Supernet]) -> SearchSpace:
    return SearchSpace(tiny_model(), "mobile")


def _shake(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
        if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.3)
    return model

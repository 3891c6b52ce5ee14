from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwtickets.config import SearchConfig
from hwtickets.main_job.pipeline import run_search
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder

SAMPLE = Path(__file__).parents[1] / "data" / "fashion-mnist"
Search = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def settings(tiny_sizes: dict[str, Any]) -> dict[str, Any]:
    """36 steps in all: 18 of search, 18 of what follows; both save nothing before they end."""
    return {
        "data": f"fashion-mnist:{SAMPLE}",
        "resolution": 12,
        "batch_size": 20,
        "epochs": 4,
        "shrinks": 2,
        "finetune_share": 0.5,
        "rewind_to": 0.15,
        "threads": 1,
        "learning_rate": 0.05,
        "prune_schedule": "one-shot",
        "budgets": {"macs": "70%"},
        "supernet": {"name": "mobile", "sizes": tiny_sizes},
    }


@pytest.fixture(scope="session")
def search(settings: dict[str, Any]) -> Search:
    """Searches in a folder and gives the report, of which no pages are made."""

    def run(folder: Path, **more: Any) -> dict[str, Any]:
        config = SearchConfig.model_validate({**settings, **more})
        made = RunFolder.create(folder, config.model_dump(mode="json"))
        return run_search(made, config, Progress(quiet=True), "test")

    return run


@pytest.fixture(scope="session")
def finished(search: Search, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended in a sparse ticket, without the network that is only compared; not to be changed."""
    folder = tmp_path_factory.mktemp("recipes") / "run"
    search(folder, sparsity=0.5, recipe="finetune")
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")

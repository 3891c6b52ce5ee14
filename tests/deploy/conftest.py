from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwtickets.deploy.samples import Samples
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.ticket import Architecture, Ticket
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from tests.conftest import SAMPLE


@pytest.fixture(scope="session")
def ticket_folder(
    tiny_model: Callable[..., Supernet],
    tiny_space: SearchSpace,
    tiny_sizes: dict[str, Any],
    tiny_task: Task,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A saved ticket, one block in each form, with samples of real validation images."""
    folder = tmp_path_factory.mktemp("ticket")
    widths = {"blocks.0.k3": 8, "blocks.0.k5": 16, "blocks.1.k3": 16, "blocks.1.k5": 24}
    model = tiny_model(shaken=True)
    resize(model, tiny_space.units.values(), widths)
    forms = {"blocks.0": "split", "blocks.1": "merged"}
    architecture = Architecture("mobile", tiny_sizes, (1, 12, 12), 10, widths, tiny_space.dense(), forms)
    facts = {
        "name": tiny_task.name,
        "data": f"fashion-mnist:{SAMPLE}",
        "classes": tiny_task.classes,
        "preprocessing": tiny_task.preprocessing(),
    }
    Ticket(architecture, model.state_dict(), facts, {"seed": 0}).save(folder)
    Samples.of(tiny_task).save(folder / "samples.npz")
    return folder

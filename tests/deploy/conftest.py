from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwtickets.deploy.bundle import write_bundle
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
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


@pytest.fixture(scope="session")
def exact(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The network of the ticket as it is written to a bundle, in fp32."""
    ticket = Ticket.load(ticket_folder)
    network = deployable(ticket.module(), ticket.architecture.forms)
    path = tmp_path_factory.mktemp("exact") / "model.onnx"
    write_onnx(export_onnx(network, ticket.architecture.input_shape), path, {})
    return path.read_bytes()


@pytest.fixture(scope="session")
def run_folder(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ticket and its bundle side by side, as a search leaves them; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(ticket_folder, folder / "ticket")
    write_bundle(folder / "ticket", folder / "bundle")
    return folder

"""Kept models: a drawn network of timm is an ordinary one, in a program that trains nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import space_of
from hwtickets.sparsity.ticket import Architecture, Ticket
from hwtickets.supernets import build_supernet
from tests.modules.timm_networks import timm

ROOT = Path(__file__).parents[2]
NETWORKS: dict[str, dict[str, Any]] = {
    "timm:resnet18": {"layers": [1, 1, 1, 1], "channels": [8, 16, 24, 32]},
    "timm:vit_tiny_patch16_224": dict(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=4),
}


@pytest.fixture(scope="module", params=NETWORKS)
def ticket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A ticket of half of the channels, on the disk, and the network that it is of."""
    timm()
    torch.manual_seed(0)
    sizes = {"reference": request.param, "arguments": NETWORKS[request.param]}
    model = build_supernet("module", (3, 32, 32), 10, sizes)
    space = space_of(model, "module")
    kept = {name: torch.arange(1, unit.width, 2) for name, unit in space.units.items()}
    keep_channels(model, space.units.values(), kept)
    widths = {name: len(channels) for name, channels in kept.items()}
    architecture = Architecture("module", model.sizes, (3, 32, 32), 10, widths, space.dense(), {})
    folder = tmp_path_factory.mktemp("kept")
    Ticket(architecture, dict(model.state_dict()), {"name": "classification"}).save(folder)
    return folder, model.eval().body


def test_another_program_rebuilds_it_without_what_trains(ticket: tuple[Path, Any]) -> None:
    folder, network = ticket
    program = [sys.executable, "-m", "tests.modules.rebuild", folder, folder]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["kind"], found["training"]) == (type(network).__name__, False)
    assert not {"training", "search", "recipes", "tasks"} & set(found["rooms"])
    x = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    expected = network(x).detach()
    torch.testing.assert_close(torch.tensor(found["outputs"]), expected)
    state = torch.load(folder / "state.pt", weights_only=True)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_every_number_that_is_kept_beside_the_weights_is_right(ticket: tuple[Path, Any]) -> None:
    folder, _ = ticket
    network: Any = Ticket.load(folder).module().body
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            sizes = (layer.out_channels, layer.in_channels // layer.groups)
            assert sizes == layer.weight.shape[:2], name
        if isinstance(layer, nn.Linear):
            assert (layer.out_features, layer.in_features) == layer.weight.shape, name
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.num_features == len(layer.running_mean), name
        if hasattr(layer, "num_heads"):
            assert layer.qkv.out_features == 3 * layer.num_heads * layer.head_dim, name
            assert layer.proj.in_features == layer.attn_dim == layer.num_heads * layer.head_dim, name
    head = network.get_classifier()
    assert network.num_features == network.head_hidden_size == head.in_features
    network.reset_classifier(4)
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 4)


def test_the_ticket_really_is_narrower(ticket: tuple[Path, Any]) -> None:
    architecture = Ticket.load(ticket[0]).architecture
    narrower = [name for name, width in architecture.widths.items() if width < architecture.totals[name]]
    assert len(narrower) == len(architecture.widths) > 3

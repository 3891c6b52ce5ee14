"""Networks that return several tensors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.modules import live
from hwtickets.modules.building import build_module
from hwtickets.modules.fitting import check_fit
from hwtickets.modules.head import find_heads
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.runtimes import load
from hwtickets.tasks import TaskSettings, build_task
from tests.conftest import SAMPLE
from tests.modules.small_networks import IMAGE, hosted, masked, shrunk, some_channels


class Detector(nn.Module):
    """Maps at two scales in a list, and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.down = nn.Conv2d(16, 12, 3, 2, 1)
        self.fine, self.coarse, self.head = nn.Conv2d(16, 5, 1), nn.Conv2d(12, 5, 1), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> dict[str, Any]:
        x = torch.relu(self.norm(self.stem(x)))
        y = torch.relu(self.down(x))
        return {"maps": (self.fine(x), self.coarse(y)), "classes": self.head(y.mean((2, 3))), "extra": None}


class Alone(nn.Module):
    """One tensor in a dict, as many segmentation networks give it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.head(torch.relu(self.conv(x)).mean((2, 3)))}


class Auxiliary(Alone):
    """A second head that only training has."""

    def forward(self, x: Tensor) -> Any:
        found = super().forward(x)["out"]
        return (found, found) if self.training else found


def test_units_are_found_behind_all_outputs() -> None:
    model, space = hosted(Detector)
    assert list(space.units) == ["stem", "down"] and model.classes == 5 * 64 + 5 * 16 + 4
    assert set(space.unprunable) == {"fine", "coarse", "head"}
    assert set(model.unmasked) == {"body.fine", "body.coarse", "body.head"}
    assert "outputs: maps.0 5x8x8, maps.1 5x4x4, classes 4" in str(space)


def test_a_cut_network_gives_what_the_masked_one_gives_by_the_names_of_its_author() -> None:
    model, space = hosted(Detector)
    kept = some_channels(space, 0)
    expected, x = masked(model, space, kept), torch.randn(1, *IMAGE)
    written = export_onnx(deployable(shrunk(model, space, kept), {}), IMAGE)
    (actual,) = load(written).run({"x": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(actual, expected(x).numpy(), rtol=1e-4, atol=1e-5)
        parts = expected.structure.apart(expected(x))
        assert torch.equal(parts["maps"][1], expected.body(x)["maps"][1])
    scopes = {node.name.split("/")[0] for node in onnx.load_from_string(written).graph.node}
    assert {"down", "fine", "coarse", "head"} <= scopes


def test_one_tensor_in_a_dict_is_taken_as_it_is() -> None:
    model = HostedNetwork(Alone(), (1, 8, 8))
    assert model.classes == 10 and model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert model.structure is not None and model.structure.parts[0].path == ("out",)
    reference = live.register(Alone())
    again = build_module((1, 8, 8), 10, {"reference": reference, "outputs": model.sizes["outputs"]})
    assert again.sizes["outputs"] == model.sizes["outputs"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda x: (x, x.argmax(1)), "module Made returns: 1 is int64; expected floating point numbers"),
        (lambda x: (x, x.sum()), "module Made returns: 1 is one number"),
        (lambda x: (x, "cat"), "module Made returns: 1 is a str; expected tensors"),
        (lambda x: [], "module Made returns: there is no tensor in it"),
    ],
)
def test_outputs_that_nothing_can_be_learnt_from_are_one_line(made: Any, said: str) -> None:
    class Made(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            return made(super().forward(x))

    with pytest.raises(UsageError, match=said) as raised:
        HostedNetwork(Made(6, 4), (6,))
    assert "\n" not in str(raised.value)


def test_outputs_that_only_training_has_are_one_line() -> None:
    task = build_task("classification", TaskSettings(f"fashion-mnist:{SAMPLE}", (12, 12), 20))
    check_fit(task, HostedNetwork(Alone(), (1, 12, 12)), "Alone")
    with pytest.raises(
        HwticketsError, match="returns a tuple and, when its space was made, one tensor: wrap"
    ):
        check_fit(task, HostedNetwork(Auxiliary(), (1, 12, 12)), "Auxiliary")


def test_a_network_is_tried_in_training_mode_without_a_trace() -> None:
    task = build_task("classification", TaskSettings(f"fashion-mnist:{SAMPLE}", (12, 12), 20))
    body = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(144, 10), nn.BatchNorm1d(10))
    model = HostedNetwork(body, (1, 12, 12)).eval()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    check_fit(task, model, "Dropout")
    assert torch.equal(torch.get_rng_state(), state) and not model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_what_needs_one_output_says_so() -> None:
    with pytest.raises(
        UsageError, match=r"returns several tensors \(maps.0 5x8x8, .*the task takes one with 10"
    ):
        build_module(IMAGE, 10, {"reference": live.register(Detector())})
    with pytest.raises(UsageError, match="transfer: the network returns several tensors"):
        find_heads(HostedNetwork(Detector(), IMAGE))

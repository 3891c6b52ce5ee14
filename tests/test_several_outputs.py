"""A network that returns several tensors, from the search to its bundle; also in a script started anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import hwtickets as hw
from hwtickets.tasks import custom

PREDICTED = "jetson-orin-nano"


class Places(nn.Module):
    """A map of where something bright is, and how bright it is."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
        self.mid = nn.Conv2d(32, 32, 3, padding=1)
        self.where, self.much = nn.Conv2d(32, 1, 1), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = torch.relu(self.mid(torch.relu(self.norm(self.stem(x)))))
        return self.where(x), {"much": self.much(x.mean((2, 3)))}


class Points(Dataset[Any]):
    """A bright point in noise, and in the target its place (a whole number) and brightness."""

    def __init__(self, count: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.images = 0.1 * torch.randn(count, 1, 12, 12, generator=random)
        self.places = torch.randint(0, 36, (count,), generator=random)
        self.bright = torch.rand(count, generator=random) + 1
        for image, place, bright in zip(self.images[:, 0], self.places, self.bright, strict=True):
            row, column = 2 * (place // 6), 2 * (place % 6)
            image[row : row + 2, column : column + 2] += bright

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.images[index], {"place": self.places[index], "bright": self.bright[index]}


def loss(outputs: Any, targets: Any) -> Tensor:
    where, rest = outputs
    found = nn.functional.cross_entropy(where.flatten(1), targets["place"])
    return found + (rest["much"][:, 0] - targets["bright"]).abs().mean()


def score(outputs: Any, targets: Any) -> Tensor:
    return 100 * (outputs[0].flatten(1).argmax(1) == targets["place"]).float().mean()


def task() -> Any:
    return hw.Task(Points(64, 0), Points(32, 1), loss, score, test=Points(32, 2), metric="found")


@pytest.fixture(scope="module", params=["two-in-one", "post-training"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search on it, predicted for a board that is not there, taught by the whole network."""
    torch.manual_seed(0)
    space = hw.SearchSpace.from_module(Places(), torch.zeros(1, 1, 12, 12))
    given = {"batch_size": 16, "epochs": 12, "trials": 3, "recipe": "distill", "quiet": True}
    folder = tmp_path_factory.mktemp("outputs") / "run"
    return hw.search(
        space, task(), PREDICTED, {"macs": "60%"}, folder, pipeline=request.param, alignment=4, **given
    )


@pytest.fixture(autouse=True)
def anew(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script that is started again: nobody has said yet what the task is."""
    monkeypatch.setattr(custom, "_TASKS", {})


def test_a_ticket_is_narrower_and_returns_what_the_network_does(found: Any) -> None:
    network = found.module()
    where, rest = network(torch.zeros(2, 1, 12, 12))
    assert type(network) is Places and network.mid.out_channels < 32
    assert where.shape == (2, 1, 6, 6) and rest["much"].shape == (2, 1)
    assert found.accuracy > 100 / 36 * 3, "it has learnt where points are"


def test_a_later_draw_and_its_bundle_take_the_task(found: Any, tmp_path: Path) -> None:
    smaller = hw.draw(found, {"macs": "40%"}, task=task(), finetune_epochs=1, quiet=True)
    bundle = hw.export(smaller, tmp_path / "bundle", device="cpu")
    described = json.loads((bundle / "model.json").read_text())["output"]
    assert [part["path"] for part in described["parts"]] == [[0], [1, "much"]]
    assert sum(int(np.prod(part["shape"])) for part in described["parts"]) == described["shape"][1]
    answer = hw.verify(bundle, task=task())
    expected = np.load(bundle / "samples" / "expected.npy")
    with torch.no_grad():
        where, rest = smaller.module()(torch.from_numpy(np.load(bundle / "samples" / "inputs.npy")))
    np.testing.assert_allclose(np.hstack([where.flatten(1), rest["much"]]), expected, rtol=1e-5, atol=1e-6)
    assert answer["score_on_samples"] == answer["score_of_pytorch"] >= 0


def test_eight_bits_are_judged_by_the_score(found: Any, tmp_path: Path) -> None:
    bundle = hw.export(found, tmp_path / "int8", precision="int8", task=task(), max_drop=100)
    answer = hw.verify(bundle, ticket=found, task=task())
    assert answer["precision"] == "int8" and answer["agreement"] > 0.5

"""Transfer of a ticket of somebody else's network: its output layer is found and replaced."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from hwtickets import api
from hwtickets.cli.main import run as command
from hwtickets.errors import UsageError
from hwtickets.modules import live
from hwtickets.modules.head import find_heads, replace_heads
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.progress import Progress
from hwtickets.space.slicing import resize
from hwtickets.space.space import space_of
from hwtickets.sparsity.mask import apply_masks, magnitude_masks
from hwtickets.sparsity.ticket import Architecture, Ticket
from hwtickets.supernets import build_supernet

QUIET = Progress(quiet=True)
SETTINGS = {"budgets": {"macs": "50%"}, "baseline": False, "batch_size": 4, "learning_rate": 0.05}


class Net(nn.Module):
    """A stem, a layer without a norm and a head that its host counts."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 10
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.mid, self.head = nn.Conv2d(8, 12, 3, padding=1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.mid(torch.relu(self.norm(self.stem(x))))).mean((2, 3)))


class Two(Net):
    """Two heads whose outputs are averaged, as distilled transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.taught = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.mid(torch.relu(self.norm(self.stem(x))))).mean((2, 3))
        return (self.head(x) + self.taught(x)) / 2


class Maps(Net):
    """Maps at the resolution of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(12, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(torch.relu(self.mid(torch.relu(self.norm(self.stem(x))))))
        return nn.functional.interpolate(x, scale_factor=2.0)


class Bare(Net):
    """A head that is no layer."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.mid(torch.relu(self.norm(self.stem(x))))).mean((2, 3))
        return x @ self.head.weight.t()


def _ticket(folder: Path, kind: type[Net]) -> Path:
    """A sparse ticket of a third less width."""
    torch.manual_seed(0)
    model = build_supernet("module", (3, 16, 16), 10, {"reference": live.register(kind())})
    space = space_of(model, "module")
    widths = {name: unit.width * 2 // 3 for name, unit in space.units.items()}
    resize(model, space.units.values(), widths)
    apply_masks(model, magnitude_masks(model, 0.3, 0.1))
    architecture = Architecture("module", model.sizes, (3, 16, 16), 10, widths, space.dense(), {})
    task = {"name": "classification", "data": "cifar10:elsewhere", "metric": "", "classes": []}
    Ticket(architecture, dict(model.state_dict()), task, {"seed": 0, "config": SETTINGS}).save(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[type[Net]], Path]:
    folder = tmp_path_factory.mktemp("source")
    return lambda kind: _ticket(folder / kind.__name__, kind)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three colours, each a class."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2), ("test", 2)):
        for place, colour in enumerate(("red", "green", "blue")):
            (folder / part / colour).mkdir(parents=True)
            for index in range(count):
                image = random.integers(0, 60, (16, 16, 3)).astype(np.uint8)
                image[..., place] += 150
                Image.fromarray(image).save(folder / part / colour / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes whose left half is of another class than the right."""
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "classes.txt").write_text("left\nright\n")
    labels = np.repeat(np.array([[0, 1]], np.uint8), 8, axis=1).repeat(16, axis=0)
    for part in ("train", "val", "test"):
        for index in range(4):
            for kind, pixels in (("images", np.stack([200 * labels] * 3, -1)), ("masks", labels)):
                (folder / kind / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / kind / part / f"{index}.png")
    return folder


def _transfer(source: Path, task: str, data: str, folder: Path, freeze: str = "architecture") -> Any:
    return api.transfer(source, task, data, freeze, 2, folder, QUIET, "16")


@pytest.mark.parametrize(("kind", "heads"), [(Net, ["head"]), (Two, ["head", "taught"])])
def test_the_trunk_stays_and_the_head_is_new(
    source: Callable[[type[Net]], Path], photos: Path, tmp_path: Path, kind: type[Net], heads: list[str]
) -> None:
    old = Ticket.load(source(kind))
    answer = _transfer(source(kind), "classification", f"folder:{photos}", tmp_path / "new", "trunk")
    new = Ticket.load(tmp_path / "new")
    assert answer["new_units"] == [] and new.architecture.sizes["head"] == heads
    assert new.architecture.widths == old.architecture.widths and new.architecture.classes == 3
    assert new.task["classes"] == ["blue", "green", "red"]
    trunk = [name for name in old.weights if name.split(".")[1] not in heads]
    moved = [name for name in trunk if not torch.equal(old.weights[name], new.weights[name])]
    assert moved == [], "a frozen trunk stays as it is"
    network = new.module().body
    assert type(network) is kind and network.num_classes == 3
    assert all(network.get_submodule(name).out_features == 3 for name in heads)


def test_all_weights_learn_but_those_that_are_masked(
    source: Callable[[type[Net]], Path], photos: Path, tmp_path: Path
) -> None:
    _transfer(source(Net), "classification", f"folder:{photos}", tmp_path / "new")
    old, new = (Ticket.load(folder).weights["body.mid.weight"] for folder in (source(Net), tmp_path / "new"))
    assert (old == 0).any() and not new[old == 0].any() and not torch.equal(old, new)
    bundle = api.export(tmp_path / "new", "onnx", tmp_path / "bundle", QUIET)
    assert api.verify(bundle, "cpu", 4)["max_rel_error"] < 1e-4


def test_maps_go_to_other_maps(source: Callable[[type[Net]], Path], scenes: Path, tmp_path: Path) -> None:
    _transfer(source(Maps), "segmentation", f"masks:{scenes}", tmp_path / "new")
    ticket = Ticket.load(tmp_path / "new")
    assert ticket.module()(torch.zeros(1, 3, 16, 16)).shape == (1, 2, 16, 16)
    assert ticket.architecture.sizes["head"] == ["head"]


def test_what_has_no_such_head_is_one_line(
    source: Callable[[type[Net]], Path], photos: Path, scenes: Path, tmp_path: Path
) -> None:
    def error(kind: type[Net], task: str, data: str) -> str:
        with pytest.raises(UsageError) as caught:
            _transfer(source(kind), task, data, tmp_path / "new")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    line = error(Bare, "classification", f"folder:{photos}")
    assert re.search(r"the head of module live:Bare-\w+ cannot be found: .*let one be its last layer", line)
    line = error(Net, "segmentation", f"masks:{scenes}")
    assert "task segmentation needs a map of each class (a dense head)" in line
    assert "module Net gives outputs of shape (2, 2)" in line
    assert "its loss failed on two examples" in error(Maps, "classification", f"folder:{photos}")


def test_a_search_says_as_early_that_a_task_does_not_fit(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net_without_maps.py").write_text(
        "from torch import nn\n\n\ndef build():\n"
        "    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *pool, nn.Linear(8, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    what = ["--module", "net_without_maps:build", "--task", "segmentation", "--data", f"masks:{scenes}"]
    assert command(["search", *what, "--batch-size", "4", "--macs", "50%", "--output-dir", "run"]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if not one.startswith("[")]
    assert "needs a map of each class (a dense head)" in line and "net_without_maps:build" in line


def test_a_head_that_is_not_there_is_one_line() -> None:
    hosted = HostedNetwork(Net(), (3, 16, 16))
    assert find_heads(hosted) == ["head"]
    with pytest.raises(UsageError, match="module Net has no layer haed"):
        replace_heads(hosted.body, ["haed"], 3)

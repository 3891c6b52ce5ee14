from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hwtickets import api
from hwtickets.cli.main import app
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.progress import Progress
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mask import apply_masks, magnitude_masks, maskable_weights
from hwtickets.sparsity.ticket import Architecture, Ticket, ticket_hash
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.supernets.base import within
from hwtickets.tasks import TaskSettings, build_task

QUIET = Progress(quiet=True)
SIZES = {
    "stem_channels": [8, 8],
    "stages": [[1, [1], [8]], [2, [1, 1], [8, 16]]],
    "head_channels": [16, 16],
    "last_channels": 16,
    "expand_ratio": 2,
    "kernel_sizes": [3],
}
SETTINGS = {"budgets": {"macs": "50%"}, "baseline": False, "batch_size": 4, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, shake: Callable[[Any], Any]) -> Path:
    """A sparse, narrowed ticket of `hrnas-tiny` that classifies colour images of 32 pixels."""
    torch.manual_seed(0)
    model = shake(build_supernet("hrnas-tiny", (3, 32, 32), 10, dict(SIZES)))
    space = SearchSpace(model, "hrnas-tiny")
    widths = {name: unit.width // 2 for name, unit in space.units.items()}
    widths |= {name: 0 for name in list(widths)[1:2] if space.units[name].branch}
    resize(model, space.units.values(), widths)
    apply_masks(model, magnitude_masks(model, 0.5, 0.1))
    forms = {block: names[-1] for block, names in space.forms().items()}
    architecture = Architecture("hrnas-tiny", model.sizes, (3, 32, 32), 10, widths, space.dense(), forms)
    task = {"name": "classification", "data": "cifar10:elsewhere", "metric": "", "classes": []}
    provenance = {"seed": 0, "config": SETTINGS, "drawn": {"run": "gone"}}
    folder = tmp_path_factory.mktemp("source") / "ticket"
    Ticket(architecture, dict(model.state_dict()), task, provenance).save(folder)
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of 32x48 pixels: bright boxes on dark ground, three classes of them."""
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "classes.txt").write_text("ground\nred\nblue\n")
    random = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 4), ("test", 4)):
        for index in range(count):
            labels = np.zeros((32, 48), np.uint8)
            labels[4:28, 4:20], labels[8:24, 26:44] = 1, 2
            colours = np.array([[40, 40, 40], [220, 50, 50], [50, 50, 220]])
            image = (colours[labels] + random.integers(0, 30, (32, 48, 1))).astype(np.uint8)
            for kind, pixels in (("images", image), ("masks", labels)):
                (folder / kind / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / kind / part / f"{index}.png")
    return folder


def _transfer(source: Path, data: Path, folder: Path, freeze: str = "architecture", **more: Any) -> Any:
    return api.transfer(source, "segmentation", f"masks:{data}", freeze, 2, folder, QUIET, "32x48", **more)


def _parts(ticket: Ticket) -> tuple[Supernet, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The module, and the state of trunk and head."""
    model = ticket.module()
    state = model.state_dict()
    head = {name: tensor for name, tensor in state.items() if within(name, model.head_modules)}
    return model, {name: tensor for name, tensor in state.items() if name not in head}, head


def test_the_trunk_goes_from_classes_to_maps_with_widths_and_masks(
    source: Path, scenes: Path, tmp_path: Path
) -> None:
    result = _transfer(source, scenes, tmp_path / "dense")
    old, new = Ticket.load(source), Ticket.load(tmp_path / "dense")
    model, trunk, _ = _parts(new)
    _, old_trunk, _ = _parts(old)
    assert model(torch.zeros(1, 3, 32, 48)).shape == (1, 3, 8, 12)
    assert {n: t.shape for n, t in trunk.items()} == {n: t.shape for n, t in old_trunk.items()}
    masked = 0
    for name, weight in maskable_weights(model).items():
        if name in old_trunk:
            removed = old_trunk[name] == 0
            masked += int(removed.sum())
            assert not weight[removed].any(), f"{name}: masks stay"
            assert not torch.equal(weight, old_trunk[name]), f"{name}: weights are trained"
    assert masked > 100
    widths = new.architecture.widths
    assert result["new_units"] == ["head.transform.k3"] == [n for n in widths if n.startswith("head")]
    assert widths["head.transform.k3"] == new.architecture.totals["head.transform.k3"]
    trunk_units = [name for name in widths if name not in result["new_units"]]
    assert all(widths[name] == old.architecture.widths[name] for name in trunk_units)
    assert all(
        new.architecture.forms[block] == old.architecture.forms[block] for block in _blocks(trunk_units)
    )
    facts = new.provenance
    assert facts["parent"] == ticket_hash(source) and facts["recipe"] == "transfer"
    assert facts["source"] == {"name": "classification", "data": "cifar10:elsewhere"}
    assert "drawn" not in facts and facts["steps"] == result["steps"] == 6
    assert new.task["name"] == "segmentation" and new.task["classes"] == ["ground", "red", "blue"]


def test_the_trunk_goes_from_classes_to_joints(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    folder = tmp_path / "joints"
    result = api.transfer(source, "keypoints", "figures:8", "architecture", 2, folder, QUIET, "32")
    ticket = Ticket.load(folder)
    old, new = Ticket.load(source).architecture.widths, ticket.architecture.widths
    assert ticket.module()(torch.zeros(1, 3, 32, 32)).shape == (1, 13, 8, 8)
    assert all(new[name] == old[name] for name in new if name not in result["new_units"])
    assert result["steps"] == 4 and ticket.task["name"] == "keypoints"


def test_joints_are_learnt_whatever_the_source_was_trained_with(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    folder = tmp_path / "joints"
    # The rate and the first weights of the source end above what empty heatmaps cost.
    api.transfer(source, "keypoints", "figures:64", "architecture", 6, folder, QUIET, "32", 16)
    ticket = Ticket.load(folder)
    trained = ticket.provenance["config"]
    assert (trained["optimizer"], trained["learning_rate"]) == ("adamw", 5e-3)
    assert ticket.architecture.sizes["init"] == "small"
    task = build_task("keypoints", TaskSettings("figures:64", (32, 32), 16))
    model = ticket.module()
    for x, targets in task.validation_batches():
        with torch.no_grad():
            heatmaps = model(x)
        assert task.loss(heatmaps, targets) < 0.6 * task.loss(torch.zeros_like(heatmaps), targets)


def test_how_a_transferred_ticket_is_trained_can_be_said(source: Path, scenes: Path, tmp_path: Path) -> None:
    keys = {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.0, "label_smoothing": 0.0}
    file = tmp_path / "keys.yaml"
    file.write_text("".join(f"{key.replace('_', '-')}: {value}\n" for key, value in keys.items()))
    data, folder = f"masks:{scenes}", tmp_path / "told"
    typed = ["--task", "segmentation", "--data", data, "--epochs", "1", "--resolution", "32x48"]
    asked = [*typed, "--config", file, "--schedule", "multi-step", "--milestones", "0.5"]
    done = CliRunner().invoke(app, ["transfer", str(source), *map(str, asked), "--output-dir", str(folder)])
    assert done.exit_code == 0, done.output
    told = Ticket.load(folder)
    trained = told.provenance["config"]
    assert {key: trained[key] for key in keys} == keys
    assert (trained["schedule"], trained["milestones"]) == ("multi-step", [0.5])
    # To the same task again: trained as before, but for what is said; milestones go with the schedule.
    _transfer(folder, scenes, tmp_path / "again", seed=1, schedule="cosine")
    again = Ticket.load(tmp_path / "again").provenance["config"]
    assert {key: again[key] for key in keys} == keys
    assert (again["schedule"], again["milestones"]) == ("cosine", [])
    with pytest.raises(UsageError, match="unknown key 'learning_rat' of a transfer; did you mean"):
        _transfer(folder, scenes, tmp_path / "x", learning_rat=0.1)


def test_a_frozen_trunk_stays_as_it_is_and_the_head_learns(
    source: Path, scenes: Path, tmp_path: Path
) -> None:
    _transfer(source, scenes, tmp_path / "short", "trunk")
    _, trunk, head = _parts(Ticket.load(tmp_path / "short"))
    _, old_trunk, _ = _parts(Ticket.load(source))
    assert [name for name in trunk if not torch.equal(trunk[name], old_trunk[name])] == []
    _transfer(source, scenes, tmp_path / "other", "trunk", seed=1)
    _, _, other = _parts(Ticket.load(tmp_path / "other"))
    assert not torch.equal(head["head.classifier.weight"], other["head.classifier.weight"])


def test_a_transferred_ticket_is_exported_retrained_and_transferred_as_any_other(
    source: Path, scenes: Path, tmp_path: Path
) -> None:
    _transfer(source, scenes, tmp_path / "first")
    bundle = api.export(tmp_path / "first", "onnx", tmp_path / "bundle", Progress(quiet=True))
    assert api.verify(bundle, "cpu", 4)["max_rel_error"] < 1e-4
    again = api.retrain(tmp_path / "first", "finetune", 1, tmp_path / "again", QUIET)
    assert again["steps"] == 3
    with pytest.raises(HwticketsError, match="--run"):
        api.retrain(tmp_path / "first", "rewind", 1, tmp_path / "x", QUIET)
    fewer = tmp_path / "scenes"
    fewer.mkdir()
    for name in ("images", "masks"):
        (fewer / name).symlink_to(scenes / name)
    (fewer / "classes.txt").write_text("ground\nred\nblue\ngreen\n")
    _transfer(tmp_path / "first", fewer, tmp_path / "second", batch_size=2)
    ticket = Ticket.load(tmp_path / "second")
    assert ticket.architecture.classes == 4 and ticket.provenance["steps"] == 12
    assert (
        ticket.architecture.sizes["last_channels"]
        == Ticket.load(tmp_path / "first").architecture.sizes["last_channels"]
    )


def test_a_head_of_the_same_kind_stays_but_for_its_outputs(
    source: Path, scenes: Path, tmp_path: Path
) -> None:
    _transfer(source, scenes, tmp_path / "maps")
    maps = Ticket.load(tmp_path / "maps")
    masked = maps.weights["head.transform.branches.k3.expand.weight"]
    masked[: len(masked) // 2] = 0
    maps.save(tmp_path / "masked")
    result = _transfer(tmp_path / "masked", scenes, tmp_path / "frozen", "trunk", seed=1)
    assert result["new_units"] == []
    old, new = (Ticket.load(tmp_path / name) for name in ("masked", "frozen"))
    assert new.provenance["new_modules"] == ["head.classifier"]
    assert new.architecture.widths == old.architecture.widths
    assert new.architecture.forms == old.architecture.forms
    changed = {name for name, weight in new.weights.items() if not torch.equal(weight, old.weights[name])}
    assert changed == {"head.classifier.weight", "head.classifier.bias"}
    _transfer(tmp_path / "masked", scenes, tmp_path / "trained")
    trained = Ticket.load(tmp_path / "trained").weights["head.transform.branches.k3.expand.weight"]
    assert not trained[masked == 0].any(), "masks stay"
    assert not torch.equal(trained, masked), "weights are trained"


def test_what_does_not_fit_is_one_line(source: Path, scenes: Path, tmp_path: Path) -> None:
    def error(ticket: Path, task: str, data: str, **more: Any) -> str:
        freeze = more.pop("freeze", "architecture")
        with pytest.raises(UsageError) as caught:
            api.transfer(ticket, task, data, freeze, 1, tmp_path / "new", QUIET, "32x48", **more)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    data = f"masks:{scenes}"
    assert "did you mean 'trunk'" in error(source, "segmentation", data, freeze="trunc")
    assert "unknown task" in error(source, "segmentaton", data)
    grey, colour = (_mobile(tmp_path / f"{channels}", channels) for channels in (1, 3))
    assert "images of 1 channels, segmentation gives 3" in error(grey, "segmentation", data)
    assert "supernet mobile has no dense head" in error(colour, "segmentation", data)
    with pytest.raises(UsageError, match="epochs of a transfer"):
        api.transfer(source, "segmentation", data, "trunk", 0, tmp_path / "new", QUIET)
    with pytest.raises(UsageError, match="is the ticket itself"):
        api.transfer(source, "segmentation", data, "trunk", 1, source, QUIET)


def _mobile(folder: Path, channels: int) -> Path:
    """A ticket of a supernet that can only classify."""
    shape = channels, 32, 32
    model = build_supernet("mobile", shape, 10, {"stages": [[16, 1, 1]]})
    dense = SearchSpace(model, "mobile").dense()
    architecture = Architecture("mobile", model.sizes, shape, 10, dense, dense, {"blocks.0": "split"})
    task = {"name": "classification", "data": "cifar10:elsewhere"}
    Ticket(architecture, dict(model.state_dict()), task, {"config": SETTINGS}).save(folder)
    return folder


def _blocks(units: list[str]) -> set[str]:
    return {unit.rpartition(".")[0] for unit in units}

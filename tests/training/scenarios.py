"""Trainings that several processes do together; run as a program, each process is one of them.

python scenarios.py FOLDER SCENARIO..., with the environment that torchrun sets.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from hwtickets.config import SearchConfig, SupernetConfig
from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.errors import BudgetError, HwticketsError
from hwtickets.modules import live
from hwtickets.search.draw import draw_within
from hwtickets.search.points import load_point, points_in
from hwtickets.search.shrinking import Pricing
from hwtickets.search.tickets import as_ticket, cut
from hwtickets.search.two_in_one import StepPlan, TwoInOne
from hwtickets.space.slicing import keep_channels, present_widths
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.sparsity.choices import price_space
from hwtickets.supernets import Supernet, build_supernet
from hwtickets.tasks import TaskSettings, build_task, custom
from hwtickets.tasks.assignment import Assignment, UserTask
from hwtickets.tasks.task import Task
from hwtickets.training.batchnorm import recalibrate_on
from hwtickets.training.compute import Compute
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.processes import dismiss
from hwtickets.training.schedules import Cosine
from hwtickets.training.teacher import TaughtLessons
from hwtickets.training.torchrun import helps
from hwtickets.training.worker import serve

SAMPLE = Path(__file__).parents[1] / "data" / "fashion-mnist"
SIZES: dict[str, Any] = {
    "stem_channels": 8,
    "stages": [[16, 1, 1], [16, 1, 2]],
    "expand_ratio": 2,
    "kernel_sizes": [3, 5],
}
PLAN = StepPlan(search=16, total=20)


class Net(nn.Module):
    """A network of somebody else: a residual sum, and a layer without a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.conv, self.bn = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.mid, self.head = nn.Conv2d(16, 24, 3, 2, 1), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.bn(self.conv(x)))
        return self.head(torch.relu(self.mid(x)).mean((2, 3)))


def own_task() -> UserTask:
    """A task of somebody else."""
    random = torch.Generator().manual_seed(0)
    images, labels = torch.randn(80, 1, 12, 12, generator=random), torch.arange(80) % 10
    data = TensorDataset(images + 0.1 * labels[:, None, None, None], labels)
    return UserTask(data, data, nn.functional.cross_entropy, lambda o, t: o.square().mean())


# As a user's script under torchrun, every process makes both.
torch.manual_seed(0)
OWN_NETWORK, OWN_TASK = live.register(Net()), own_task()
OWN_DATA = custom.register(Assignment.of(OWN_TASK, 10))


def task() -> Task:
    return build_task("classification", TaskSettings(f"fashion-mnist:{SAMPLE}", (12, 12), 20, 0.1))


def model(seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return build_supernet("mobile", (1, 12, 12), 10, SIZES)


def two_in_one(
    folder: Path, advance: Callable[..., None], own: bool = False, **settings: Any
) -> dict[str, Any]:
    """A search with two shrinks and pruned weights; perhaps of a module and a task of the user's own."""
    name, sizes = ("module", {"reference": OWN_NETWORK}) if own else ("mobile", SIZES)
    lessons = build_task("custom", TaskSettings(OWN_DATA, None, 20)) if own else task()
    torch.manual_seed(0)
    network = build_supernet(name, (1, 12, 12), 10, sizes)
    config = SearchConfig.model_validate(
        {
            "budgets": {"latency": "60%"},
            "batch_size": 20,
            "learning_rate": 0.1,
            "shrinks": 2,
            "sparsity": 0.3,
            "accelerator": "cpu",
            **settings,
        }
    )
    space = space_of(network, name)
    latency = AdditiveCost("latency", "ms", 0.002, lambda spec: 0.001 + spec.macs / 5e6)
    costs = {"latency": latency, "macs": macs_cost()}
    dense = Pricing(space, costs, {}, "latency", 8, 0).costs_of(space.dense())["latency"]
    pricing = Pricing(space, costs, {"latency": 0.75 * dense}, "latency", 8, 0)
    folder.mkdir(parents=True, exist_ok=True)
    search = TwoInOne(network, lessons, pricing, config, PLAN, folder, lambda event: None)
    search.loop.interval = 4
    losses: list[float] = []

    def noted(count: int, note: str = "") -> None:
        losses.append(search.loop.loss)
        advance(count, note=note)

    search.resume()
    search.run(noted)
    point = load_point(points_in(folder)[-1])
    priced = price_space(space, costs, 8, point.widths, 0)
    drawn = draw_within(priced, point.scores, {"latency": 0.6 * dense}, "latency")
    built = SupernetConfig(name=name, sizes=sizes)
    network = cut(point, drawn, space, built, lessons, config.mask_pattern)
    recalibrate_on(network.model, lessons, config.calibration_batches)
    as_ticket(network.model, drawn, space, lessons, "", {}).save(folder / "ticket")
    widths = present_widths(search.model, space.units.values())
    return {"losses": losses, "widths": widths, "folder": str(folder)}


def taught(
    folder: Path, advance: Callable[..., None], refused_at: int = 0, recut_at: int = 0, **compute: Any
) -> dict[str, Any]:
    """Plain training with a teacher, the first block frozen; perhaps cut to what it is, or broken off."""
    student = model()
    for parameter in student.get_submodule("blocks.0").parameters():
        parameter.requires_grad_(False)
    lessons = TaughtLessons(task(), model(1), 0.5, 4.0)
    losses: list[float] = []
    units = list(SearchSpace(student, "mobile").units.values())

    class Losses(Hook):
        name = "losses"

        def after_step(self, loop: TrainingLoop) -> None:
            losses.append(loop.loss)
            if len(losses) == recut_at:
                keep_channels(loop.model, units, {unit.name: torch.arange(unit.width) for unit in units})
                loop.optimizer = build_optimizer(loop.model, 5e-4)
            if len(losses) == refused_at:
                raise BudgetError("nothing meets the budget")

    rate = Cosine(0.02, 6)
    training = PlainTraining(rate, 0, 6, 5e-4, 0.9, 0, 3, compute=Compute("cpu", **compute))
    with contextlib.suppress(BudgetError):
        train_plain(student, lessons, training, {}, None, advance, [Losses()])
    weights = {name: tensor.tolist() for name, tensor in student.state_dict().items()}
    return {"losses": losses, "weights": weights}


def uneven(folder: Path, advance: Callable[..., None], **compute: Any) -> dict[str, Any]:
    """Segmentation of scenes of which every other one is hardly labelled, with a teacher."""
    sizes = {"stages": [[1, [1], [8]]], "stem_channels": [8, 8], "last_channels": 8, "kernel_sizes": [3]}
    lessons = build_task("segmentation", TaskSettings(f"masks:{_scenes(folder / 'scenes')}", (16, 16), 4))
    networks = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = build_supernet("hrnas-tiny", (3, 16, 16), 2, sizes, "dense")
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            # Passes are not normalised together; what is compared is the loss.
            norm.requires_grad_(False)
        networks.append(network)
    taught = TaughtLessons(lessons, networks[1], 0.3, 4.0)
    losses: list[float] = []

    class Losses(Hook):
        name = "losses"

        def after_step(self, loop: TrainingLoop) -> None:
            losses.append(loop.loss)

    training = PlainTraining(Cosine(0.5, 4), 0, 4, 0.0, 0.5, 0, 3, compute=Compute("cpu", **compute))
    train_plain(networks[0], taught, training, {}, None, advance, [Losses()])
    weights = {name: tensor.tolist() for name, tensor in networks[0].named_parameters()}
    return {"losses": losses, "weights": weights}


def _scenes(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for part, number in itertools.product(("train", "val"), range(8)):
        image, mask = (folder / kind / part / f"{number}.png" for kind in ("images", "masks"))
        labels = random.integers(0, 2, (16, 16), dtype=np.uint8)
        labels[(number % 4) * 5 :] = 255
        for path, pixels in ((image, random.integers(0, 256, (16, 16, 3), dtype=np.uint8)), (mask, labels)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (folder / "classes.txt").write_text("a\nb\n")
    return folder


SCENARIOS = {"two_in_one": two_in_one, "taught": taught, "uneven": uneven}


def _killer(folder: Path, kill_at: int) -> Callable[..., None]:
    """Kills the other process after so many steps; 0: never."""
    steps = itertools.count(1)

    def advance(count: int, note: str = "") -> None:
        if next(steps) == kill_at:
            os.kill(int((folder / "other").read_text()), signal.SIGKILL)

    return advance


def _lead(folder: Path, names: list[str]) -> None:
    results = {}
    for name in names:
        scenario, _, text = name.partition(":")
        settings = json.loads(text) if text else {}
        advance = _killer(folder, settings.pop("kill_other_at", 0))
        results[name] = SCENARIOS[scenario](folder / "-".join([scenario, *settings]), advance, **settings)
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    if helps():
        (where / "other").write_text(str(os.getpid()))
        sys.exit(serve())
    try:
        _lead(where, [name for name in sys.argv[2:] if name != "die"])
    except HwticketsError as error:
        print(f"error: {error}", file=sys.stderr)
        dismiss()
        sys.exit(error.exit_code)
    if "die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    dismiss()

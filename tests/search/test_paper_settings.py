"""The paper's four settings: they load, build what they name, and take a step at a reduced size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hwtickets.config import SearchConfig
from hwtickets.config_files import load_config, named_config
from hwtickets.costs import AdditiveCost, macs_cost
from hwtickets.search.masking import prune_events
from hwtickets.search.schedules import even_shares
from hwtickets.search.shrinking import Pricing
from hwtickets.search.two_in_one import StepPlan, TwoInOne
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mask import sparsity_of
from hwtickets.supernets import build_supernet
from hwtickets.tasks import build_task
from hwtickets.tasks.keypoints.skeleton import COCO_SIGMAS
from hwtickets.training.schedules import finetuning_begins, schedule_of

LATENCY = AdditiveCost("latency", "ms", 0.002, lambda spec: 0.001 + spec.macs / 5e6)
#: Two branches of few channels; whatever else a setting says of its supernet stays.
SMALL = {"stages": [[1, [1], [8]], [2, [1, 1], [8, 8]]], "stem_channels": [8, 8], "head_channels": [8, 8]}
REDUCED = {"batch_size": 4, "epochs": 1, "threads": 1, "supernet": {"sizes": {**SMALL, "last_channels": 16}}}


def _image(path: Path, number: int, classes: int = 0) -> None:
    """Noise of 32x64 pixels, or a map of classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (32, 64) if classes else (32, 64, 3)
    pixels = np.random.default_rng(number).integers(0, classes or 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _imagenet(folder: Path) -> str:
    for part, name, number in ((p, n, i) for p in ("train", "val") for n in ("n01", "n02") for i in range(4)):
        _image(folder / part / name / f"{number}.JPEG", number)
    (folder / "synset_words.txt").write_text("n01 tench, Tinca tinca\nn02 goldfish\n")
    return f"folder:{folder}"


def _cityscapes(folder: Path) -> str:
    for part, number in ((part, number) for part in ("train", "val") for number in range(6)):
        name = f"ulm_{number:06}_000019"
        _image(folder / "leftImg8bit" / part / "ulm" / f"{name}_leftImg8bit.png", number)
        _image(folder / "gtFine" / part / "ulm" / f"{name}_gtFine_labelIds.png", number, 34)
    return f"cityscapes:{folder}"


def _ade20k(folder: Path) -> str:
    for part, number in ((part, number) for part in ("training", "validation") for number in range(6)):
        _image(folder / "images" / part / f"ADE_{number}.jpg", number)
        _image(folder / "annotations" / part / f"ADE_{number}.png", number, 151)
    return f"ade20k:{folder}"


def _coco(folder: Path) -> str:
    names = list(COCO_SIGMAS)
    joints = [value for joint in range(len(names)) for value in (10 + joint, 5 + joint, 2)]
    for part in ("train2017", "val2017"):
        for number in range(6):
            _image(folder / part / f"{number:012}.jpg", number)
        labels = {
            "images": [{"id": n, "file_name": f"{n:012}.jpg", "width": 64, "height": 32} for n in range(6)],
            "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1, "bbox": [5, 2, 40, 28], "area": 900.0}
                | {"iscrowd": 0, "num_keypoints": len(names), "keypoints": joints}
                for n in range(6)
            ],
        }
        path = folder / "annotations" / f"person_keypoints_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(labels))
    return f"coco:{folder}"


#: Data in the layout of the original, and the resolution of a test, in the proportions of the original's.
SETTINGS: dict[str, tuple[Callable[[Path], str], str]] = {
    "imagenet": (_imagenet, "32"),
    "cityscapes": (_cityscapes, "32x64"),
    "ade20k": (_ade20k, "32"),
    "coco": (_coco, "64x48"),
}


def _config(name: str, **overrides: Any) -> SearchConfig:
    return load_config(named_config(f"supertickets-{name}"), overrides)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_takes_a_step_and_ends_with_its_masks(name: str, tmp_path: Path) -> None:
    write, resolution = SETTINGS[name]
    given = _config(name)
    config = _config(name, **REDUCED, data=write(tmp_path / "data"), resolution=resolution, shrinks=1)
    task = build_task(config.task, config.task_settings())
    torch.manual_seed(config.seed)
    sizes = config.supernet.sizes
    model = build_supernet(config.supernet.name, task.input_shape, task.num_outputs, sizes, task.head)
    assert config.supernet.name == "hrnas"
    assert {**sizes, **SMALL, "last_channels": 16} == {**given.supernet.sizes, **sizes}
    space = SearchSpace(model, "hrnas")
    whole = Pricing(space, {"latency": LATENCY, "macs": macs_cost()}, {}, "latency", 8, 0)
    limits = {"latency": 0.5 * whole.costs_of(space.dense())["latency"]}
    pricing = Pricing(space, whole.costs, limits, "latency", 8, 0)
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    run = TwoInOne(model, task, pricing, config, StepPlan(2, 2), tmp_path, lambda event: None)
    steps: list[float] = []
    run.run(lambda count, note="": steps.append(run.loop.loss))
    assert len(steps) == 2 and all(np.isfinite(steps))
    moved = [key for key, weight in model.named_parameters() if weight.shape != before[key].shape]
    assert moved, "channels were cut"
    assert sparsity_of(model) == pytest.approx(config.sparsity, abs=0.05)


@pytest.mark.parametrize(
    ("name", "interval", "epochs", "events"),
    [("imagenet", 25, 350, 14), ("cityscapes", 25, 430, 17), ("ade20k", 15, 200, 13), ("coco", 15, 210, 14)],
)
def test_masks_are_drawn_in_the_intervals_of_the_paper(
    name: str, interval: int, epochs: int, events: int
) -> None:
    config = _config(name)
    assert config.epochs == epochs and config.finetune_share == 0
    steps_per_epoch = 100
    drawn = prune_events(config, epochs * steps_per_epoch)
    expected = {
        interval * number * steps_per_epoch: min(config.sparsity, 0.1 * number)
        for number in range(1, events + 1)
    }
    assert list(drawn.values()) == pytest.approx(list(expected.values()))
    assert all(abs(step - at) <= 1 for step, at in zip(drawn, expected, strict=True))


#: The paper's settings as its code has them, in our words; the batch is that of 8 GPUs.
PAPER: dict[str, dict[str, Any]] = {
    "imagenet": {
        "epochs": 350,
        "batch_size": 8 * 64,
        "resolution": (224, 224),
        "optimizer": "rmsprop",
        "optimizer_eps": 1e-3,
        "learning_rate": 0.016 * 512 / 256,
        "weight_decay": 1e-5,
        "label_smoothing": 0.1,
        "penalty_strength": 1.8e-4,
    },
    "cityscapes": {
        "epochs": 430,
        "batch_size": 8 * 4,
        "resolution": (512, 1024),
        "optimizer": "adam",
        "optimizer_eps": 1e-3,
        "learning_rate": 0.04,
        "weight_decay": 1e-5,
        "label_smoothing": 0.0,
        "penalty_strength": 1.4e-4,
    },
    "ade20k": {
        "epochs": 200,
        "batch_size": 8 * 8,
        "resolution": (512, 512),
        "optimizer": "adam",
        "optimizer_eps": 1e-3,
        "learning_rate": 0.04,
        "weight_decay": 1e-5,
        "label_smoothing": 0.0,
        "penalty_strength": 1.4e-4,
    },
    "coco": {
        "epochs": 210,
        "batch_size": 8 * 48,
        "resolution": (256, 192),
        "optimizer": "adam",
        "optimizer_eps": 1e-8,
        "learning_rate": 1e-3,
        "weight_decay": 1e-8,
        "label_smoothing": 0.0,
        "penalty_strength": 1e-6,
    },
}
COMMON: dict[str, Any] = {
    "seed": 1995,
    "penalty_warmup_epochs": 25,
    "alive_above": 1e-3,
    "calibration_batches": 10,
    "mask_importance": "magnitude",
    "mask_scope": "global",
    "sync_batchnorm": False,
    "baseline": False,
    "recipe": "none",
}
#: What our search has in the place of the paper's, which a comment names.
REPLACED = {"price": "macs", "unit_price": "slope", "importance": "bn-scale", "shrink_by": "threshold"}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_the_numbers_of_the_paper(name: str) -> None:
    config = _config(name)
    expected = {**PAPER[name], **COMMON}
    assert {key: getattr(config, key) for key in expected} == expected
    assert config.ema_decay == pytest.approx(0.9999 ** (config.batch_size / 4096), abs=1e-8)
    written = named_config("supertickets-imagenet").read_text()
    for key, paper in REPLACED.items():
        assert key in config.model_fields_set and getattr(config, key) != paper
        assert f"{key}: {paper}" in written


@pytest.mark.parametrize("name", SETTINGS)
def test_norms_and_first_weights_are_those_of_the_paper(name: str) -> None:
    momentum, epsilon, init = (0.1, 1e-5, "small") if name == "coco" else (0.01, 1e-3, "mnas")
    sizes = {**_config(name).supernet.sizes, **SMALL}
    head = "classification" if name == "imagenet" else "dense"
    model = build_supernet("hrnas", (3, 64, 48), 5, sizes, head)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(momentum, epsilon)}
    assert model.sizes["init"] == init


def _rates(config: SearchConfig, epochs: Sequence[float], total: float) -> list[float]:
    """Learning rates of a training from scratch, by passes over the data."""
    rate = schedule_of(config, 1000, 0, round(total * 1000))
    return [rate(round(epoch * 1000)) for epoch in epochs]


def test_learning_rates_go_as_in_the_paper() -> None:
    rates = _rates(_config("imagenet"), [0, 2.5, 5.5, 240], 350)
    assert rates == pytest.approx([0, 0.016 * 0.97, 0.032 * 0.97**2, 0.032 * 0.97**100], rel=1e-2, abs=1e-5)
    for name, epochs in (("cityscapes", 430), ("ade20k", 200)):
        rates = _rates(_config(name), [0, 0.3 * epochs, epochs], epochs)
        assert rates == pytest.approx([0.04 / 25, 0.04, 0], rel=1e-3, abs=1e-6)
    assert _rates(_config("coco"), [0, 169, 171, 201], 210) == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


@pytest.mark.parametrize(
    ("name", "first", "last"),
    # Shares of the peak. The paper's cycles are stretched from 425 and 195 epochs on: 6 and 22 % there.
    [("imagenet", 0.0121, 0.0064), ("cityscapes", 0.054, 0.0), ("ade20k", 0.189, 0.0), ("coco", 0.01, 0.01)],
)
def test_finetuning_goes_on_with_the_rate_of_the_paper(name: str, first: float, last: float) -> None:
    searched = PAPER[name]["epochs"]
    total = searched + 50
    written = named_config(f"supertickets-{name}").read_text().replace("\n# ", " ")
    share = re.search(rf"epochs {total}, finetune_share ([\d.]+), recipe finetune", written)
    assert share, "the comment says how to finetune"
    config = _config(name, epochs=total, finetune_share=float(share[1]), recipe="finetune")
    search, steps = searched * 100, total * 100
    assert round(steps * (1 - config.finetune_share)) == search
    begins = finetuning_begins(config.schedule, search, search)
    rate = schedule_of(config, 100, begins, steps, config.finetune_rate)
    peak = config.learning_rate
    assert [rate(search) / peak, rate(steps - 1) / peak] == pytest.approx([first, last], rel=0.02, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "every"), [("imagenet", 10), ("cityscapes", 10), ("ade20k", 25), ("coco", 10)]
)
def test_cuts_lie_where_the_paper_looks_for_dead_channels(name: str, every: int) -> None:
    config = _config(name)
    shares = even_shares(config.shrink_from, config.shrink_to, config.shrinks)
    epochs = [config.epochs * share for share in shares]
    first = round(epochs[0])
    assert first % every == 0 and first > config.penalty_warmup_epochs
    assert epochs == pytest.approx([first + every * number for number in range(config.shrinks)], abs=0.01)

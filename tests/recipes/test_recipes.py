from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hwtickets import api
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.progress import Progress, Stage
from hwtickets.recipes import work
from hwtickets.recipes.lineage import Lineage
from hwtickets.recipes.recipe import RECIPES
from hwtickets.search.origins import from_text
from hwtickets.sparsity.mask import maskable_weights
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.supernets import Supernet
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.task import Task
from hwtickets.training.checkpoint import read_checkpoint, section
from hwtickets.training.plain import PlainTraining, train_plain

QUIET = Progress(quiet=True)
FACTS = {"recipe", "steps", "teacher", "rewound_step", "score_before", "score_after", "parent", "drawn"}


class _Interrupted(Progress):
    """Stops a training as Ctrl-C does, after some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(quiet=True)
        self._left = steps

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "", done: int = 0) -> Iterator[Stage]:
        with super().stage(name, total, unit, done) as stage:
            advance = stage.advance

            def counted(steps: int = 1, note: str = "") -> None:
                self._left -= steps
                if self._left <= 0:
                    raise KeyboardInterrupt
                advance(steps, note)

            stage.advance = counted  # type: ignore[method-assign]
            yield stage


def _lineage(run: Path) -> Lineage:
    ticket = Ticket.load(run / "ticket")
    known = ticket.architecture
    _, space = known.build()
    channels = from_text(ticket.provenance["drawn"]["channels"])
    return Lineage(space, known.sizes, known.classes, known.widths, channels, run / "state" / "latency")


def test_rewound_weights_are_the_initial_ones_of_the_kept_channels(
    finished: Path, tiny_model: Callable[..., Supernet]
) -> None:
    lineage, initial = _lineage(finished), tiny_model(seed=0).state_dict()
    weights, step = lineage.rewound("init")
    assert step == 0
    assert sum(lineage.widths.values()) < sum(lineage.space.dense().values())
    members = {
        member.name: (name, member.dim)
        for name, unit in lineage.space.units.items()
        for member in unit.members
        if name in lineage.channels
    }
    assert set(members) <= set(weights)
    for name, tensor in weights.items():
        expected = initial[name]
        if name in members:
            unit, dim = members[name]
            expected = expected.index_select(dim, lineage.channels[unit])
        assert torch.equal(tensor, expected), name


def test_early_weights_are_those_of_the_step_that_was_asked_for(finished: Path) -> None:
    lineage = _lineage(finished)
    (init, _), (early, step) = lineage.rewound("init"), lineage.rewound("early")
    assert step == 3, "15 % of 18 steps"
    assert {n: t.shape for n, t in early.items()} == {n: t.shape for n, t in init.items()}
    assert any(not torch.equal(early[name], init[name]) for name in init)


def test_new_weights_have_the_same_shapes_and_other_values(finished: Path) -> None:
    lineage = _lineage(finished)
    weights, init = lineage.fresh(7), lineage.rewound("init")[0]
    assert {n: t.shape for n, t in weights.items()} == {n: t.shape for n, t in init.items()}
    name = next(iter(maskable_weights(Ticket.load(finished / "ticket").module())))
    assert not torch.equal(weights[name], init[name])
    assert torch.equal(weights[name], lineage.fresh(7)[name])


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_every_recipe_keeps_the_masks_and_leaves_the_same_record(
    finished: Path, tmp_path: Path, recipe: str
) -> None:
    epochs = None if recipe == "none" else 0.5
    result = api.retrain(finished / "ticket", recipe, epochs, tmp_path / "new", QUIET)
    old, new = Ticket.load(finished / "ticket"), Ticket.load(tmp_path / "new")
    facts = new.provenance
    assert set(facts) >= FACTS and new.architecture == old.architecture
    assert facts["parent"] == ticket_hash(finished / "ticket")
    assert facts["drawn"] == old.provenance["drawn"]
    assert (facts["recipe"], result["recipe"]) == (recipe, recipe)
    assert facts["steps"] == result["steps"] == (0 if recipe == "none" else 4)
    assert facts["rewound_step"] == (3 if recipe == "rewind" else None)
    teacher = ticket_hash(finished / "state" / "dense" / "ticket") if recipe == "distill" else None
    assert facts["teacher"] == teacher
    assert facts["score_before"] == pytest.approx(old.provenance["score_after"])
    assert [facts[f"score_{when}"] for when in ("before", "after")] == [
        result["validation_before"],
        result["validation"],
    ]
    before, after = maskable_weights(old.module()), maskable_weights(new.module())
    for name, weight in before.items():
        assert not after[name][weight == 0].any(), f"{name}: what was removed stays removed"
        if recipe != "none":
            assert not torch.equal(after[name], weight), name
    assert not list((tmp_path / "new").glob("*-*.safetensors")), "no checkpoint is left"


def test_nothing_is_trained_by_the_recipe_none(finished: Path, tmp_path: Path) -> None:
    api.retrain(finished / "ticket", "none", None, tmp_path / "new", QUIET)
    old, new = Ticket.load(finished / "ticket"), Ticket.load(tmp_path / "new")
    parameters = [name for name, _ in old.module().named_parameters()]
    assert all(torch.equal(old.weights[name], new.weights[name]) for name in parameters)


def test_a_killed_retraining_goes_on_and_ends_the_same(finished: Path, tmp_path: Path) -> None:
    asked = (finished / "ticket", "rewind", 6)
    api.retrain(*asked, tmp_path / "undisturbed", QUIET)
    with pytest.raises(KeyboardInterrupt):
        api.retrain(*asked, tmp_path / "killed", _Interrupted(52))
    (checkpoint,) = (tmp_path / "killed").glob("*.safetensors")
    tensors, facts = read_checkpoint(checkpoint)
    assert facts["step"] == 50 and section(tensors, "model")
    api.retrain(*asked, tmp_path / "killed", QUIET)
    expected, found = Ticket.load(tmp_path / "undisturbed"), Ticket.load(tmp_path / "killed")
    assert [n for n, t in expected.weights.items() if not torch.equal(t, found.weights[n])] == []
    assert expected.provenance == found.provenance


def test_a_search_ends_with_the_recipe_of_its_configuration(copied: Path) -> None:
    file = copied / "config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "recipe": "rewind"}))
    entry = api.draw(copied, {"macs": "60%"}, None, QUIET)
    facts = Ticket.load(Path(entry["path"]) / "ticket").provenance
    assert (facts["recipe"], facts["rewound_step"], facts["steps"]) == ("rewind", 3, 36 - 3)
    assert facts["drawn"]["state"] == "state/latency" and facts["drawn"]["channels"]
    assert facts["score_after"] == entry["accuracy"]["validation"]


def test_finetuning_goes_on_with_the_schedule_of_the_search(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[list[float]] = []

    def seen(model: Supernet, lessons: Task, training: PlainTraining, *more: Any) -> None:
        steps = range(training.first_step, training.steps)
        rates.append([training.learning_rate(step) for step in steps])
        train_plain(model, lessons, training, *more)

    monkeypatch.setattr(work, "train_plain", seen)
    asked = {"recipe": "finetune", "baseline": False, "schedule": "multi-step", "milestones": [1, 3]}
    search(tmp_path / "run", **asked)
    assert rates.pop() == pytest.approx([0.05 / 10] * 9 + [0.05 / 100] * 9)
    api.retrain(tmp_path / "run" / "ticket", "finetune", 0.5, tmp_path / "new", QUIET)
    assert rates.pop() == pytest.approx([0.05 / 100] * 4)
    assert not rates


def test_memory_that_runs_out_in_a_recipe_is_one_line(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: Any) -> float:
        raise MemoryError

    monkeypatch.setattr(Classification, "score", exhaust)
    with pytest.raises(HwticketsError, match="out of memory on cpu while the validation data is scored"):
        api.retrain(finished / "ticket", "none", None, tmp_path / "new", QUIET)


def test_what_is_missing_is_one_line_that_says_what_to_do(finished: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(finished / "ticket", tmp_path / "alone" / "ticket")

    def error(kind: type[HwticketsError], recipe: str, **more: Any) -> str:
        epochs = more.pop("epochs", 0.2)
        with pytest.raises(kind) as caught:
            api.retrain(alone, recipe, epochs, tmp_path / "new", QUIET, **more)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "--run" in error(HwticketsError, "rewind")
    assert "--run" in error(UsageError, "distill") and "--teacher" in error(UsageError, "distill")
    assert "there is no run at" in error(UsageError, "rewind", run=tmp_path)
    assert "did you mean 'init'" in error(UsageError, "rewind", rewind_to="int")
    assert "did you mean 'finetune'" in error(UsageError, "finetun")
    assert "has no teacher" in error(UsageError, "finetune", teacher=finished / "ticket")
    assert "trains nothing" in error(UsageError, "none", epochs=1)
    assert api.retrain(alone, "rewind", 0.2, tmp_path / "new", QUIET, run=finished)["rewound_step"] == 3
    with pytest.raises(UsageError, match="is the ticket itself"):
        api.retrain(alone, "none", None, alone, QUIET)


def test_a_run_without_early_weights_says_so(copied: Path, tmp_path: Path) -> None:
    (copied / "state" / "latency" / "rewind-early.safetensors").unlink()
    with pytest.raises(HwticketsError, match="rewind to init"):
        api.retrain(copied / "ticket", "rewind", 0.2, tmp_path / "new", QUIET)
    done = api.retrain(copied / "ticket", "rewind", 0.2, tmp_path / "new", QUIET, rewind_to="init")
    assert done["rewound_step"] == 0


def test_a_teacher_of_another_task_is_refused(finished: Path, tmp_path: Path) -> None:
    other = api.transfer(
        finished / "ticket",
        "classification",
        f"fashion-mnist:{_sample()}",
        "trunk",
        0.2,
        tmp_path / "o",
        QUIET,
        "16",
    )
    with pytest.raises(UsageError, match="it takes 1x16x16 and gives 10 outputs"):
        api.retrain(finished / "ticket", "distill", 0.2, tmp_path / "new", QUIET, teacher=Path(other["path"]))


def _sample() -> Path:
    return Path(__file__).parents[1] / "data" / "fashion-mnist"

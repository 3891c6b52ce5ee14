"""Retraining a ticket that is on the disk: a recipe outside its search."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.config import SearchConfig
from hwtickets.deploy.samples import Samples
from hwtickets.errors import UsageError, unknown
from hwtickets.progress import Progress
from hwtickets.recipes.lineage import Lineage
from hwtickets.recipes.recipe import RECIPES
from hwtickets.recipes.work import Record, Work
from hwtickets.search.early import EARLY, INIT
from hwtickets.search.origins import from_text
from hwtickets.search.two_in_one import StepPlan
from hwtickets.sparsity.mask import maskable_weights
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.supernets import Supernet
from hwtickets.tasks import build_task
from hwtickets.tasks.task import Task

#: Passes over the training data where a recipe goes on from the ticket's weights.
SHORT_EPOCHS = 2.0


@dataclass(frozen=True)
class Retraining:
    """What is asked for.

    Attributes:
        ticket: Folder of the ticket.
        recipe: One of `RECIPES`.
        epochs: Passes over the training data; None for the recipe's own.
        teacher: Folder of the ticket that teaches; None for the recipe's own.
        run: Folder of the run that the ticket was drawn from; None to look for it above the ticket.
        rewind_to: `early.INIT` or `early.EARLY`.
        folder: Folder of the new ticket.

    Raises:
        UsageError: Parts that do not go together.
    """

    ticket: Path
    recipe: str
    epochs: float | None
    teacher: Path | None
    run: Path | None
    rewind_to: str
    folder: Path

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise unknown("recipe", self.recipe, RECIPES)
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise UsageError(f"the epochs of retraining are a number above 0, e.g. 2; got {self.epochs:g}")
        if self.epochs is not None and self.recipe == "none":
            raise UsageError("recipe none trains nothing; leave --epochs out")
        if self.rewind_to not in (INIT, EARLY):
            raise unknown("point to rewind to", self.rewind_to, (INIT, EARLY))
        if self.teacher and self.recipe in ("none", "finetune"):
            raise UsageError(f"recipe {self.recipe} has no teacher; use distill, or leave --teacher out")
        if self.folder.resolve() == self.ticket.resolve():
            raise UsageError(f"{self.folder} is the ticket itself; choose another --output-dir")


def retrain_ticket(asked: Retraining, progress: Progress) -> dict[str, Any]:
    """Applies a recipe to a ticket; the ticket stays, a new one is written.

    A repeated call goes on from where a killed one has saved.

    Returns:
        `path`, `ticket` (hash), `validation_before` and `validation` of the new ticket, and its record.

    Raises:
        UsageError: The teacher or the run is missing.
        HwticketsError: The ticket or its run is damaged, or the run kept no weights to rewind to.
    """
    ticket = Ticket.load(asked.ticket)
    config = recorded_config_of(ticket)
    with progress.stage("data"):
        task = build_task(config.task, config.task_settings())
    model = ticket.module()
    work = _work(asked, ticket, config, task, model, progress)
    record = RECIPES[asked.recipe](work)
    folder = asked.folder
    provenance = {**ticket.provenance, "parent": ticket_hash(asked.ticket), **record.as_dict()}
    save_ticket(replace(ticket, weights=dict(model.state_dict()), provenance=provenance), task, folder)
    for left in folder.glob(f"*-{_key(asked)}.safetensors"):
        left.unlink()
    return result_of(folder, record)


def recorded_config_of(ticket: Ticket) -> SearchConfig:
    """The configuration of a ticket's search, for the data and the inputs that the ticket knows."""
    recorded = ticket.provenance.get("config", {"budgets": {"latency": "100%"}})
    sides = ticket.architecture.input_shape[1:]
    known = {
        "data": ticket.task["data"],
        "task": ticket.task["name"],
        "resolution": sides if len(sides) == 2 else None,
        "seed": int(ticket.provenance.get("seed", 0)),
    }
    return SearchConfig.model_validate({**recorded, **known})


def task_of(ticket: Ticket) -> Task:
    """The task that a ticket was trained on, its data loaded.

    Raises:
        HwticketsError: The data is missing or damaged.
    """
    config = recorded_config_of(ticket)
    return build_task(config.task, config.task_settings())


def save_ticket(ticket: Ticket, task: Task, folder: Path) -> None:
    """Writes a ticket with its samples, ready to be exported."""
    Samples.of(task).save(folder / "samples.npz")
    weights = {name: tensor.detach().contiguous() for name, tensor in ticket.weights.items()}
    replace(ticket, weights=weights).save(folder)


def result_of(folder: Path, record: Record) -> dict[str, Any]:
    """What a verb says of a new ticket."""
    values = record.as_dict()
    return {
        "path": str(folder),
        "ticket": ticket_hash(folder),
        "validation_before": values.pop("score_before"),
        "validation": values.pop("score_after"),
        **values,
    }


def zeros_of(model: Supernet) -> dict[str, Any]:
    """Masks of a trained network: what is zero among the maskable weights was removed."""
    return {name: weight != 0 for name, weight in maskable_weights(model).items()}


def _work(
    asked: Retraining,
    ticket: Ticket,
    config: SearchConfig,
    task: Task,
    model: Supernet,
    progress: Progress,
) -> Work:
    architecture, drawn = ticket.architecture, ticket.provenance.get("drawn", {})
    run = _run_of(asked, drawn)
    _, space = architecture.build()
    channels = from_text(drawn.get("channels", {}))
    state = run / drawn["state"] if run and "state" in drawn else None
    steps_per_epoch, total = task.steps_per_epoch, StepPlan.of(config, task).total
    asked_steps = None if asked.epochs is None else max(1, round(asked.epochs * steps_per_epoch))
    return Work(
        model=model,
        masks=zeros_of(model),
        task=task,
        config=config,
        lineage=Lineage(
            space, architecture.sizes, architecture.classes, architecture.widths, channels, state
        ),
        full_steps=total,
        short_steps=max(1, round(SHORT_EPOCHS * steps_per_epoch)),
        first_step=0,
        trained_steps=0 if config.comes_trained else total,
        asked_steps=asked_steps,
        rewind_to=asked.rewind_to,
        teacher=_teacher(asked, run),
        prune_steps=0,
        checkpoint=asked.folder / _key(asked),
        suffix="",
        progress=progress,
    )


def _run_of(asked: Retraining, drawn: Mapping[str, Any]) -> Path | None:
    """The run that a ticket was drawn from: the one that is named, else the one above the ticket."""
    if asked.run is not None:
        if not (asked.run / "config.yaml").exists():
            raise UsageError(
                f"there is no run at {asked.run} (no config.yaml); name the --output-dir of a search"
            )
        return asked.run
    above = asked.ticket.resolve().parents
    return next((folder for folder in above if drawn and (folder / "config.yaml").exists()), None)


def _teacher(asked: Retraining, run: Path | None) -> Path | None:
    if asked.teacher is not None or asked.recipe != "distill":
        return asked.teacher
    if run is None:
        raise UsageError(
            f"the run that {asked.ticket} was drawn from is not above it: name it with --run, or name a"
            " teacher with --teacher"
        )
    dense = run / "state" / "dense" / "ticket"
    if not (dense / "ticket.json").exists():
        raise UsageError(f"{run} has no dense network (it was searched with --no-baseline); name a --teacher")
    return dense


def _key(asked: Retraining) -> str:
    """Tells the checkpoints of one retraining from those of another in the same folder."""
    facts = {
        "ticket": ticket_hash(asked.ticket),
        "epochs": asked.epochs,
        "teacher": ticket_hash(asked.teacher) if asked.teacher else None,
        "recipe": asked.recipe,
        "rewind_to": asked.rewind_to,
    }
    return files.sha256_of(json.dumps(facts, sort_keys=True).encode())[:12]

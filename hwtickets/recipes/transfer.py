"""Transfer: a ticket's network under a new head, trained on another task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hwtickets import files
from hwtickets.config import SearchConfig
from hwtickets.config_files import checked_config
from hwtickets.errors import UsageError, unknown
from hwtickets.progress import Progress
from hwtickets.recipes.graft import Graft, graft
from hwtickets.recipes.retrain import recorded_config_of, save_ticket, zeros_of
from hwtickets.search.two_in_one import StepPlan
from hwtickets.sparsity.mask import sparsity_of
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.tasks import build_task, task_class
from hwtickets.tasks.task import Task, suited_to
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import schedule_of

#: What stays as it is besides the architecture, which always does.
FREEZES = ("architecture", "trunk")
#: Keys of a configuration that say how a transferred ticket is trained.
TRAINING_KEYS = ("optimizer", "learning_rate", "schedule", "milestones", "weight_decay", "label_smoothing")
#: What a key takes along: an epsilon of one optimizer, milestones of one schedule say nothing of others.
_TOGETHER = {"optimizer": ("optimizer_eps",), "schedule": ("warmup_epochs", "milestones")}
_KEYS = ("resolution", "batch_size", "seed", *TRAINING_KEYS)


@dataclass(frozen=True)
class Transfer:
    """What is asked for.

    Attributes:
        ticket: Folder of the ticket.
        task: Name of the new task.
        data: Its data.
        freeze: One of `FREEZES`.
        epochs: Passes over the new training data; None for those of the ticket's search.
        folder: Folder of the new ticket.
        more: Keys of a configuration, those of `TRAINING_KEYS` among them; None for what another task
            suggests for itself, else for those of the ticket's search.

    Raises:
        UsageError: A value is unknown or out of range.
    """

    ticket: Path
    task: str
    data: str
    freeze: str
    epochs: float | None
    folder: Path
    more: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.freeze not in FREEZES:
            raise unknown("part to freeze", self.freeze, FREEZES)
        for key in self.more:
            if key not in _KEYS:
                raise unknown("key", key, _KEYS, " of a transfer")
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise UsageError(f"the epochs of a transfer are a number above 0, e.g. 2; got {self.epochs:g}")
        if self.folder.resolve() == self.ticket.resolve():
            raise UsageError(f"{self.folder} is the ticket itself; choose another --output-dir")


def transfer_ticket(asked: Transfer, progress: Progress) -> dict[str, Any]:
    """Puts a new head on a ticket's trunk and trains; nothing comes from a ticket of the target task.

    A repeated call goes on from where a killed one has saved. Source: SuperTickets (ECCV 2022), section 4.3;
    its code takes layers from a ticket that was trained on the target before, which is not done here.

    Returns:
        See `api.transfer`.
    """
    ticket = Ticket.load(asked.ticket)
    config = _config(asked, ticket)
    with progress.stage("data"):
        task = build_task(config.task, config.task_settings())
    torch.manual_seed(config.seed)
    grafted = graft(ticket, task)
    steps = StepPlan.of(config, task).total
    _train(asked, grafted, task, config, steps, progress)
    score = task.score(grafted.model, "validation")
    record = {
        "parent": ticket_hash(asked.ticket),
        "recipe": "transfer",
        "source": {key: ticket.task[key] for key in ("name", "data")},
        "freeze": asked.freeze,
        "new_modules": list(grafted.new_modules),
        "new_units": grafted.new_units,
        "steps": steps,
        "seed": config.seed,
        "score_after": score,
        "config": config.model_dump(mode="json"),
    }
    save_ticket(grafted.ticket(task, config.data, record), task, asked.folder)
    _checkpoint(asked).unlink(missing_ok=True)
    return {
        "path": str(asked.folder),
        "ticket": ticket_hash(asked.folder),
        "validation": score,
        "steps": steps,
        "sparsity": sparsity_of(grafted.model),
        "new_units": grafted.new_units,
    }


def _config(asked: Transfer, ticket: Ticket) -> SearchConfig:
    known = recorded_config_of(ticket).model_dump(mode="json")
    suited = {} if asked.task == ticket.task["name"] else suited_to(task_class(asked.task))
    given = {key: value for key, value in {**asked.more, "epochs": asked.epochs}.items() if value is not None}
    new = {**suited, **given, "task": asked.task, "data": asked.data}
    # The images of another data set have a size of their own.
    gone = {"resolution", *(other for key in new for other in _TOGETHER.get(key, ()))}
    return checked_config({**{key: value for key, value in known.items() if key not in gone}, **new})


def _train(
    asked: Transfer, grafted: Graft, task: Task, config: SearchConfig, steps: int, progress: Progress
) -> None:
    model = grafted.model
    if asked.freeze == "trunk":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(grafted.is_new(name))
    rate = schedule_of(config, task.steps_per_epoch, 0, steps, config.finetune_rate)
    training = PlainTraining.of(config, rate, 0, steps)
    masks = {name: mask for name, mask in zeros_of(model).items() if not bool(mask.all())}
    with progress.stage("transfer", total=steps, unit="step") as shown:
        train_plain(model, task, training, masks, _checkpoint(asked), shown.advance)


def _checkpoint(asked: Transfer) -> Path:
    facts = (ticket_hash(asked.ticket), asked.task, asked.data, asked.freeze, asked.epochs, dict(asked.more))
    return asked.folder / f"transfer-{files.sha256_of(repr(facts).encode())[:12]}.safetensors"

"""Recipes after the draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hwtickets.config import SearchConfig
from hwtickets.deploy.samples import Samples
from hwtickets.progress import Progress
from hwtickets.sparsity.mask import maskable_weights
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.tasks import build_task
from hwtickets.training.optimizer import LearningRate
from hwtickets.training.plain import PlainTraining, train_plain


def finetune_ticket(source: Path, epochs: float, folder: Path, progress: Progress) -> dict[str, Any]:
    """Trains a ticket further with its architecture and its zeros frozen.

    Args:
        source: Folder of the ticket.
        epochs: Passes over the training data.
        folder: Folder of the new ticket.
        progress: Where to report.

    Returns:
        `path`, `ticket` (hash), `validation_before` and `validation` of the new ticket.
    """
    ticket = Ticket.load(source)
    recorded = ticket.provenance.get("config", {"budgets": {"latency": "100%"}})
    config = SearchConfig.model_validate(
        {**recorded, "data": ticket.task["data"], "task": ticket.task["name"]}
    )
    seed = int(ticket.provenance.get("seed", 0))
    with progress.stage("data"):
        settings = replace(config.task_settings(), resolution=ticket.architecture.input_shape[1:], seed=seed)
        task = build_task(config.task, settings)
    model = ticket.module()
    before = task.score(model, "validation")
    masks = {name: weight != 0 for name, weight in maskable_weights(model).items()}
    steps = max(1, round(epochs * task.steps_per_epoch))
    rate = LearningRate(config.finetune_rate * config.learning_rate, steps)
    training = PlainTraining(rate, 0, steps, config.weight_decay, config.ema_decay, seed)
    with progress.stage("finetune", total=steps, unit="step") as shown:
        train_plain(model, task, training, masks, None, shown.advance)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    provenance = {**ticket.provenance, "parent": ticket_hash(source), "recipe": "finetune", "steps": steps}
    replace(ticket, weights=weights, provenance=provenance).save(folder)
    Samples.of(task).save(folder / "samples.npz")
    return {
        "path": str(folder),
        "ticket": ticket_hash(folder),
        "validation_before": before,
        "validation": task.score(model, "validation"),
    }

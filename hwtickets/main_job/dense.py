"""The dense network: trained for as many steps as search and finetuning together, or as it came; exported."""

from __future__ import annotations

from pathlib import Path

from hwtickets import files
from hwtickets.deploy.bundle import save_and_export
from hwtickets.deploy.samples import Samples
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job
from hwtickets.search.tickets import as_ticket
from hwtickets.sparsity.allocation import Allocation
from hwtickets.tables.skeleton import skeleton_model
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import schedule_of

STAGE = "dense network"


def train_dense(run: RunFolder, job: Job, forms: dict[str, str]) -> None:
    """Trains and exports the dense network into the run's state, unless that was done before.

    One that came trained is exported as it is.

    Args:
        run: The run folder.
        job: The search under way.
        forms: Deployed forms of the dense network: its fastest ones, to be a fair reference.
    """
    if run.stage_done(STAGE):
        return
    model, config = job.supernet(), job.config
    steps = 0 if config.comes_trained else job.plan.total
    with job.progress.stage(STAGE, total=steps or None, unit="step") as shown:
        if steps:
            rate = schedule_of(config, job.task.steps_per_epoch, 0, steps)
            training = PlainTraining.of(config, rate, 0, steps)
            train_plain(model, job.task, training, {}, run.state / "dense.safetensors", shown.advance)
    drawn = Allocation(job.space.dense(), forms, {}, 1.0)
    provenance = {"parent": None, "seed": config.seed, "steps": steps, "checkpoint": config.checkpoint}
    ticket = as_ticket(model, drawn, job.space, job.task, config.data, provenance)
    save_and_export(ticket, Samples.of(job.task), run.state / "dense")


def dense_model(run: RunFolder, job: Job, forms: dict[str, str]) -> Path:
    """The exported dense network; without a trained one, the same operators with random weights.

    Args:
        run: The run folder.
        job: The search under way.
        forms: Deployed forms of the dense network.
    """
    trained = run.state / "dense" / "bundle" / "model.onnx"
    if trained.exists():
        return trained
    path = run.state / "dense.onnx"
    if not path.exists():
        files.write_bytes(path, skeleton_model(job.space.graph(job.space.dense(), forms)))
    return path

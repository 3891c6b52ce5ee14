"""The rivals that are trained from scratch: the dense network and its uniformly narrowed copies."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwtickets.config import SearchConfig
from hwtickets.costs import LatencyCost
from hwtickets.deploy.bundle import save_and_export
from hwtickets.deploy.samples import Samples
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder
from hwtickets.runtimes import load, paired_ratio, time_interleaved
from hwtickets.search.dense import STAGE, train_dense
from hwtickets.search.finetuning import lessons_of
from hwtickets.search.job import Job
from hwtickets.search.pipeline import Prepared, prepare
from hwtickets.search.tickets import as_ticket
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import price_network
from hwtickets.sparsity.ticket import Ticket
from hwtickets.supernets import Supernet
from hwtickets.tables.skeleton import skeleton_model
from hwtickets.training.optimizer import LearningRate
from hwtickets.training.plain import PlainTraining, train_plain

#: Timed runs of each candidate width.
CANDIDATE_RUNS = 1000


@dataclass(frozen=True)
class Uniform:
    """A network whose branches all keep the same share of their channels.

    Attributes:
        fraction: That share, before widths are rounded up to the alignment.
        widths: Channels by unit.
        forms: Deployed form by block, the cheapest ones.
        share: Measured latency as a share of the dense network's.
    """

    fraction: float
    widths: dict[str, int]
    forms: dict[str, str]
    share: float


class Rivals:
    """Trains the rivals of one seed in a folder of their own, resumable.

    Args:
        config: The search that they are compared with; its budgets are ignored.
        folder: A run folder; the dense network is in its state.
        progress: Where to report.
    """

    def __init__(self, config: SearchConfig, folder: Path, progress: Progress) -> None:
        config = config.model_copy(update={"budgets": {"latency": "100%"}, "baseline": True, "compare": []})
        self._run = RunFolder.create(folder, config.model_dump(mode="json"), resume=True)
        self._job = Job.prepare(config, progress)
        self._prepared: Prepared = prepare(self._job)

    @property
    def dense_ticket(self) -> Path:
        """Ticket folder of the dense network."""
        return self._run.state / "dense" / "ticket"

    def dense(self) -> dict[str, Any]:
        """Trains and exports the dense network; score, seconds and path of its bundle."""
        begin_s = time.perf_counter()
        if not self._run.stage_done(STAGE):
            train_dense(self._run, self._job, self._prepared.profile.forms)
            self._run.finish_stage(STAGE, time.perf_counter() - begin_s)
        stages = self._run.read_record()["stages"]
        seconds = next(stage["seconds"] for stage in stages if stage["name"] == STAGE)
        folder = self._run.state / "dense"
        return self._result(Ticket.load(folder / "ticket").module(), folder / "bundle", seconds)

    def uniform(self, share: float) -> dict[str, Any]:
        """Trains and exports the widest uniform network within a budget.

        Args:
            share: Budget as a share of the dense network's measured latency.

        Returns:
            As `dense`, with `fraction`, `widths`, the `share` measured before training and `above_budget`:
            whether even the narrowest one, which is then trained, is above the budget.
        """
        candidates = self.candidates()
        fitting = [candidate for candidate in candidates if candidate.share <= share]
        chosen = max(fitting, key=lambda one: one.fraction) if fitting else candidates[0]
        folder = self._run.path / f"uniform-{chosen.fraction:.4f}"
        begin_s = time.perf_counter()
        model = self._train(chosen, folder)
        result = self._result(model, folder / "bundle", time.perf_counter() - begin_s)
        facts = {"fraction": chosen.fraction, "widths": chosen.widths, "share": chosen.share}
        return {**result, **facts, "above_budget": not fitting}

    def candidates(self) -> list[Uniform]:
        """Every uniform network, narrow to wide, timed side by side with the dense one."""
        job, correction = self._job, self._prepared.profile.correction
        costs = {"latency": LatencyCost(self._prepared.table, correction).additive()}
        networks = uniform_widths(job.space, job.device.alignment)
        forms = {
            fraction: price_network(job.space, widths, costs)[0] for fraction, widths in networks.items()
        }
        graphs = {
            str(fraction): job.space.graph(widths, forms[fraction]) for fraction, widths in networks.items()
        }
        graphs["dense"] = job.space.graph(job.space.dense(), self._prepared.profile.forms)
        sessions = {name: load(skeleton_model(graph), job.device.threads) for name, graph in graphs.items()}
        timings = time_interleaved(sessions, sessions["dense"].random_inputs(), CANDIDATE_RUNS)
        return [
            Uniform(
                fraction, widths, forms[fraction], paired_ratio(timings[str(fraction)], timings["dense"])[0]
            )
            for fraction, widths in networks.items()
        ]

    def _train(self, chosen: Uniform, folder: Path) -> Supernet:
        if (folder / "bundle" / "model.json").exists():
            return Ticket.load(folder / "ticket").module()
        job, config, steps = self._job, self._job.config, self._job.plan.total
        model = job.supernet()
        resize(model, job.space.units.values(), chosen.widths)
        rate = LearningRate(config.learning_rate, steps)
        training = PlainTraining(rate, 0, steps, config.weight_decay, config.ema_decay, config.seed)
        lessons = lessons_of(config, job.task, self.dense_ticket)
        with job.progress.stage(f"uniform {chosen.fraction:.2f}", total=steps, unit="step") as shown:
            train_plain(model, lessons, training, {}, folder / "training.safetensors", shown.advance)
        drawn = Allocation(chosen.widths, chosen.forms, {}, 1.0)
        provenance = {"uniform": chosen.fraction, "seed": config.seed, "steps": steps}
        ticket = as_ticket(model, drawn, job.space, job.task, config.data, provenance)
        save_and_export(ticket, Samples.of(job.task), folder)
        return model

    def _result(self, model: Supernet, bundle: Path, seconds: float) -> dict[str, Any]:
        return {
            "test": self._job.task.score(model, "test"),
            "validation": self._job.task.score(model, "validation"),
            "seconds": seconds,
            "steps": self._job.plan.total,
            "bundle": str(bundle),
        }


def uniform_widths(space: SearchSpace, alignment: int) -> dict[float, dict[str, int]]:
    """Widths by fraction, narrow to wide: every branch keeps that share, rounded up to the alignment.

    Args:
        space: The search space.
        alignment: Widths are multiples of this, or full.
    """
    groups = max(-(-unit.width // alignment) for unit in space.units.values())
    found: dict[float, dict[str, int]] = {}
    for group in range(1, groups + 1):
        fraction = group / groups
        widths = {
            name: min(unit.width, alignment * max(1, -(-unit.width * group // (groups * alignment))))
            for name, unit in space.units.items()
        }
        if widths not in found.values():
            found[fraction] = widths
    return found

"""Searches through the library's own pipelines, as results of a benchmark."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets import api, files
from hwtickets.config import SearchConfig
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.check import measure
from hwtickets.deploy.numerics import Array
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import BudgetError, NumericsError
from hwtickets.main_job.dense import STAGE, train_dense
from hwtickets.main_job.prepared import prepare
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job
from hwtickets.search.points import load_point, points_in
from hwtickets.sparsity.ticket import Ticket

#: Timed runs of every network in a comparison side by side.
RUNS = 1500
#: Half of the 95 % interval of a ratio, as a share of it, that measurements aim at.
_UNCERTAINTY = 0.01


class Searches:
    """Searches of one seed, each in a run folder of its own, resumable; all share one dense network.

    Args:
        config: What the searches have in common; its budgets are ignored.
        folder: Gets the run folders; the dense network is in `dense`.
        command: The benchmark's name, for the reports.
    """

    def __init__(self, config: SearchConfig, folder: Path, command: str) -> None:
        self.config = config.model_copy(
            update={"budgets": {"latency": "100%"}, "baseline": True, "compare": []}
        )
        self._folder, self._command = folder, command

    @property
    def dense_ticket(self) -> Path:
        """Ticket folder of the dense network."""
        return self._folder / "dense" / "state" / "dense" / "ticket"

    def dense(self) -> dict[str, Any]:
        """Trains and exports the dense network; scores, seconds, steps and path of its bundle."""
        begin_s = time.perf_counter()
        run = RunFolder.create(self._folder / "dense", self.config.model_dump(mode="json"), resume=True)
        job = Job.prepare(self.config, Progress())
        forms = prepare(job).profile.forms
        if not run.stage_done(STAGE):
            train_dense(run, job, forms)
            run.finish_stage(STAGE, time.perf_counter() - begin_s)
        stages = {stage["name"]: stage["seconds"] for stage in run.read_record()["stages"]}
        model = Ticket.load(self.dense_ticket).module()
        return {
            "test": job.task.score(model, "test"),
            "validation": job.task.score(model, "validation"),
            "seconds": stages[STAGE],
            "steps": job.plan.total,
            "bundle": str(self.dense_ticket.with_name("bundle")),
        }

    def search(
        self, name: str, budgets: Mapping[str, str], progress: Progress | None = None, **updates: Any
    ) -> dict[str, dict[str, Any]]:
        """Searches, taught by the dense network where the recipe has a teacher.

        Args:
            name: Of the run folder.
            budgets: Metric to limit.
            progress: Where to report; on the terminal if None.
            updates: Other keys that differ from the common ones.

        Returns:
            One entry for each price that was searched with; empty where a budget is infeasible, or where the
            deployed network does not compute what it should.
        """
        shared = {"budgets": dict(budgets), "baseline": False, "teacher": str(self.dense_ticket)}
        values = {**self.config.model_dump(mode="json"), **shared, **updates}
        config = SearchConfig.model_validate(values)
        folder = self._folder / name
        progress = progress or Progress(api.search_stages(config))
        try:
            report = api.search(config, folder, True, False, progress, f"benchmarks.{self._command}")
        except (BudgetError, NumericsError) as error:
            progress.note(f"seed {config.seed}, {name}: {error}")
            return {}
        return {ticket["price"]: _entry(ticket, report, folder) for ticket in report["tickets"]}


def side_by_side(bundles: Mapping[str, Path], device: str) -> dict[str, dict[str, float]]:
    """Times exported networks in turns.

    Args:
        bundles: Bundle folders by name; the first one is the reference.
        device: Where to time.

    Returns:
        By name, the median latency (`p50_ms`) and its ratio to the reference (`median`, `low`, `high`).
    """
    image = read_bundle(next(iter(bundles.values()))).samples.inputs[:1]
    models = {name: read_bundle(bundle).model_path for name, bundle in bundles.items()}
    return in_turns(models, image, device, RUNS)


def in_turns(models: Mapping[str, Path], image: Array, device: str, runs: int) -> dict[str, dict[str, float]]:
    """Times ONNX files in turns; returns what `side_by_side` does.

    Args:
        models: ONNX files by name; the first one is the reference.
        image: One input, shape (1, channels, height, width).
        device: Where to time.
        runs: Timed runs of each; more where neighbours disturb, until ratios are known to 1 %.
    """
    with open_bench(get_device(device)) as bench:
        measured = measure(models, next(iter(models)), bench, runs, image, _UNCERTAINTY)
    return {
        name: {
            "p50_ms": measured.timings[name].p50_ms,
            **dict(zip(("median", "low", "high"), measured.ratios[name], strict=True)),
        }
        for name in models
    }


def training_macs(run: Path) -> dict[str, float]:
    """What the training of a run cost: MACs of one image's forward pass, summed over the steps.

    Args:
        run: The folder of a search.

    Returns:
        `search_macs` (the supernet, as it shrank) and `recipe_macs` (the drawn network). What all pipelines
        share is not in it: the training of the dense network, and its passes as a teacher.
    """
    events = files.read_jsonl(run / "events.jsonl", "list of events")
    shrinks = {event["step"]: event["costs"]["macs"] for event in events if event.get("stage") == "search"}
    macs = files.read_json(run / "state" / "profile.json", "profile")["profile"]["dense"]["macs"]
    total, begin = 0.0, 0
    for end in [*sorted(shrinks), _search_steps(run)]:
        total += macs * (end - begin)
        macs, begin = shrinks.get(end, macs), end
    delivery = files.read_json(run / "delivery.json", "delivery")
    return {"search_macs": total, "recipe_macs": delivery["costs"]["macs"] * delivery["steps"]}


def _search_steps(run: Path) -> int:
    """Steps that the supernet of a run was trained for; 0 where none was."""
    points = points_in(run / "state" / "latency")
    return load_point(points[-1]).step if points else 0


def _entry(ticket: Mapping[str, Any], report: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    own = ticket is report["tickets"][0]
    suffix = "" if own else f" by {ticket['price']}"
    delivered = folder if own else folder / "state" / ticket["price"] / "delivered"
    seconds = {stage["name"]: stage["seconds"] for stage in report["stages"]}
    search_seconds = seconds.get(f"search{suffix}", 0.0)
    return {
        **ticket["accuracy"],
        "search_seconds": search_seconds,
        "seconds": search_seconds + seconds[f"deliver{suffix}"],
        "steps": Ticket.load(delivered / "ticket").provenance["steps"],
        "draws": len(ticket["draws"]),
        "ratio": ticket["ratio"],
        "macs": ticket["macs"],
        "params": ticket["params"],
        "sparsity": ticket["sparsity"],
        "widths": {unit["name"]: unit["kept"] for unit in ticket["units"]},
        "kept": all(budget["kept"] is not False for budget in report["budgets"]),
        "bundle": str(delivered / "bundle"),
    }

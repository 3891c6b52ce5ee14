"""The main job, stage by stage; every stage can be repeated after a kill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.config import SearchConfig
from hwtickets.devices import get_device
from hwtickets.errors import BudgetError
from hwtickets.main_job.clock import timed
from hwtickets.main_job.delivery import Delivery
from hwtickets.main_job.dense import train_dense
from hwtickets.main_job.finishing import LAST_STAGE
from hwtickets.main_job.order import Order
from hwtickets.main_job.prepared import Prepared, prepare
from hwtickets.main_job.summary import summarise
from hwtickets.pipelines import PIPELINES
from hwtickets.progress import Progress
from hwtickets.recipes.drawers import SCORING_STAGE, scored_point, untrained_point
from hwtickets.recipes.finish import recipe_of
from hwtickets.recipes.recipe import STAGE_NAMES
from hwtickets.recipes.trials import TRIALS_STAGE, trials_of
from hwtickets.runs import RunFolder
from hwtickets.search.job import MIXED, Job, versions
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.points import DrawPoint, load_point, points_in, smallest_point_above
from hwtickets.search.shrinking import Pricing, ShrinkEvent
from hwtickets.search.space_profile import SpaceProfile
from hwtickets.search.two_in_one import TwoInOne
from hwtickets.tables import load_table, save_table

#: Stages that come before the search, in order.
STAGES = ("data", "latency table", "profile", "dense network")


def stages_of(config: SearchConfig) -> list[str]:
    """Names of the stages of a run, for the progress display."""
    last = LAST_STAGE[get_device(config.device).measurable]
    pipeline = PIPELINES[config.pipeline]
    search = ["search"] if pipeline.searches else [] if pipeline.anew else [SCORING_STAGE]
    training = STAGE_NAMES.get(recipe_of(config))
    tried = [TRIALS_STAGE] if trials_of(config) else []
    own = [*search, *tried, "draw", *([training] if training else []), last]
    names = [*STAGES[: 3 + config.baseline], *own]
    for price in compared_prices(config):
        names += [f"{stage} by {price}" for stage in own]
    return [*names, "report"]


def compared_prices(config: SearchConfig) -> list[str]:
    """Other prices that are searched with; pipelines that draw by no value have nothing to price."""
    valued = PIPELINES[config.pipeline].network == "valued" and config.precision != MIXED
    return [price for price in config.compare if price != config.price] if valued else []


def run_search(run: RunFolder, config: SearchConfig, progress: Progress, command: str) -> dict[str, Any]:
    """Runs or resumes the main job in a run folder.

    Args:
        run: The folder, locked by the caller.
        config: The resolved configuration.
        progress: Where to report.
        command: The command line, for the report.

    Returns:
        The report.

    Raises:
        BudgetError: The budget is infeasible.
    """
    if run.stage_done("report"):
        return dict(files.read_json(run.state / "report.json", "report"))
    job = Job.prepare(config, progress)
    with timed(run, "profile", progress):
        prepared = _prepare(run, job)
    run.record(versions=versions(), seed=config.seed, command=command, device=dict(prepared.fingerprint(job)))
    if config.baseline:
        with timed(run, "dense network", progress):
            train_dense(run, job, prepared.profile.forms)
    entries: dict[str, dict[str, Any]] = {
        config.price: _search_and_deliver(run, job, prepared, config.price, run.path, "")
    }
    prices = compared_prices(config)
    if config.compare and PIPELINES[config.pipeline].network != "valued":
        progress.note(f"no comparison of prices: pipeline {config.pipeline} draws by none")
    if config.compare and job.mixed:
        progress.note("no comparison of prices: precisions are drawn under a latency alone")
    for price in prices:
        try:
            entries[price] = _search_and_deliver(
                run, job, prepared, price, run.state / price / "delivered", f" by {price}"
            )
        except BudgetError as error:
            # A comparison that finds nothing is a result; the ticket that was asked for stands.
            progress.note(f"no comparison by {price}: {error}")
    with timed(run, "report", progress), progress.stage("report"):
        report = summarise(run, job, prepared.table, prepared.profile, prepared.limits, entries, command)
    files.write_json(run.state / "report.json", report)
    return report


def _prepare(run: RunFolder, job: Job) -> Prepared:
    """The profile of a resumed run is kept: its prices decide how training goes."""
    path = run.state / "profile.json"
    if not path.exists():
        prepared = prepare(job)
        save_table(prepared.table, run.state / "table")
        known = {"profile": prepared.profile.as_dict(), "limits": prepared.limits}
        if prepared.mixed is not None:
            known["mixed"] = prepared.mixed.as_dict()
            for other in prepared.mixed.tables.values():
                save_table(other, run.state / "table")
        files.write_json(path, known)
        return prepared
    saved = files.read_json(path, "profile")
    table = load_table(run.state / "table", job.device.runtime, job.priced_at)
    tables = run.state / "table"
    mixed = MixedPrices.restored(job.space, tables, job.device.runtime, saved["mixed"]) if job.mixed else None
    return Prepared(table, SpaceProfile(**saved["profile"]), saved["limits"], mixed)


def _search_and_deliver(
    run: RunFolder, job: Job, prepared: Prepared, price: str, folder: Path, suffix: str
) -> dict[str, Any]:
    state = run.state / price
    with files.writing(state):
        state.mkdir(parents=True, exist_ok=True)
    pricing = prepared.pricing(job, price)
    if PIPELINES[job.config.pipeline].searches:
        with timed(run, f"search{suffix}", job.progress):
            _train(run, job, pricing, state, f"search{suffix}")
    with timed(run, f"deliver{suffix}", job.progress):
        own = {metric: limit for metric, limit in prepared.limits.items() if metric == pricing.price}
        point = point_of(job, pricing, state, own, prepared.costs_of_points(pricing) if job.mixed else None)
        order = Order(pricing, point, prepared.profile, prepared.table, state, folder, suffix)
        return Delivery(run, job, replace(order, mixed=prepared.mixed)).deliver()


def point_of(
    job: Job,
    pricing: Pricing,
    state: Path,
    limits: Mapping[str, float],
    costs_of: Callable[[dict[str, int]], Mapping[str, float]] | None = None,
) -> DrawPoint:
    """Where the pipeline of a job draws from: a point of its search, or the network as it came.

    Args and errors as of `smallest_point_above`.
    """
    pipeline = PIPELINES[job.config.pipeline]
    if pipeline.searches:
        return smallest_point_above(state, limits, costs_of)
    if pipeline.anew:
        return untrained_point(job, pricing)
    # Later draws, perhaps in another process, are of the network that was scored then.
    known = points_in(state)
    if not known:
        scored_point(job, pricing).save(state)
    return load_point((known or points_in(state))[0])


def _train(run: RunFolder, job: Job, pricing: Pricing, state: Path, stage: str) -> None:
    if run.stage_done(stage):
        return

    def note(event: ShrinkEvent) -> None:
        run.event("shrink", stage=stage, price=pricing.price, loss=search.loop.loss, **vars(event))

    config = PIPELINES[job.config.pipeline].searched(job.config)
    search = TwoInOne(job.supernet(), job.task, pricing, config, job.plan, state, note)
    search.resume()
    with job.progress.stage(stage, total=job.plan.search, unit="step", done=search.loop.step) as shown:
        search.run(shown.advance)

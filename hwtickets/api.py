"""The verbs of hwtickets as functions; the command line is a thin layer over them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.bundle_verbs import benchmark, verify
from hwtickets.config import SearchConfig, SupernetConfig
from hwtickets.config_files import recorded_config
from hwtickets.device_verbs import check_device, device, devices, import_table, table_info
from hwtickets.devices import get_device
from hwtickets.errors import BudgetError, UsageError
from hwtickets.exporting import require_drop
from hwtickets.main_job.later_draws import draw_from_run, reports_of
from hwtickets.main_job.pipeline import run_search, stages_of
from hwtickets.progress import Progress
from hwtickets.report import build_views, merge_reports
from hwtickets.report.deployment import with_deployments
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job, resolved
from hwtickets.search.mixed_draw import loses_too_much
from hwtickets.search.profiled import describe_space
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.supernets import build_supernet
from hwtickets.tables import LatencyTable, existing_table, save_table, table_folder
from hwtickets.tables import build_table as measure_table
from hwtickets.tables import check_table as compare_table
from hwtickets.tables.precisions import precision_of_space, precision_of_supernet
from hwtickets.ticket_verbs import export, retrain, transfer

__all__ = [
    "benchmark",
    "build_table",
    "check_device",
    "check_table",
    "device",
    "devices",
    "draw",
    "draw_each",
    "export",
    "import_table",
    "profile",
    "report",
    "retrain",
    "search",
    "search_stages",
    "table_info",
    "transfer",
    "verify",
]


def build_table(
    device: str,
    supernet: SupernetConfig,
    input_shape: tuple[int, int, int],
    classes: int,
    precision: str | None,
    output: Path | None,
    fresh: bool,
    seed: int,
    progress: Progress,
) -> LatencyTable:
    """Measures the latency table of a supernet's operators on a device.

    Args:
        device: Name of the device; names of several identical ones, separated by commas, share the work.
        supernet: The supernet.
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs.
        precision: One of the device's; its own if None.
        output: Where to write; by default where searches look for it, for each of the devices.
        fresh: Begin anew even where an unfinished build could go on.
        seed: Chooses the networks that are measured.
        progress: Where to report.
    """
    profile, *others = [get_device(name) for name in dict.fromkeys(device.split(","))]
    precision = precision or profile.precisions[0]
    space = _space(supernet, input_shape, classes)
    folder = output or table_folder(profile, space, precision)
    table = measure_table(
        space, profile, folder, progress, seed, fresh=fresh, precision=precision, others=others
    )
    for other in [] if output else others:
        named = {**table.fingerprint, "device": other.name}
        same = dataclasses.replace(table, device=other.name, fingerprint=named)
        save_table(same, table_folder(other, space, precision))
    return table


def check_table(
    device: str,
    supernet: SupernetConfig,
    input_shape: tuple[int, int, int],
    classes: int,
    precision: str | None,
    samples: int,
    progress: Progress,
    allow_other_fingerprint: bool = False,
) -> dict[str, Any]:
    """Measures random networks and compares them with the table's predictions; keys as in `TableCheck`.

    Without a precision it is the device's own, unless the only table is of another one.

    Raises:
        HwticketsError: There is no table, or only one of another state of the device.
    """
    profile = get_device(device)
    space = _space(supernet, input_shape, classes)
    precision = precision or precision_of_space(profile, space, progress)
    table = existing_table(space, profile, precision, allow_other_fingerprint)
    return dataclasses.asdict(compare_table(table, space, profile, samples, progress=progress))


def profile(config: SearchConfig, progress: Progress) -> dict[str, Any]:
    """What the space costs on the device and whether the budgets can be kept; no training.

    Args:
        config: Device, supernet, task, data and budgets.
        progress: Where to report.

    Returns:
        Dense and smallest costs, `measured` (or predicted from `table`), the number of networks, the budgets
        with `feasible` and `nearest`, the costliest blocks.
    """
    job = Job.prepare(config, progress)
    return describe_space(job)


def search_stages(config: SearchConfig) -> list[str]:
    """Names of the stages of a search, for its progress display."""
    return stages_of(config)


def search(
    config: SearchConfig,
    output_dir: Path,
    resume: bool,
    dry_run: bool,
    progress: Progress,
    command: str,
    begin: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Runs the main job: from budgets to an exported ticket, measured if there is a device, and its report.

    Args:
        config: What is asked for.
        output_dir: The run folder.
        resume: Go on with a run that was interrupted.
        dry_run: Only check that everything fits and the budgets are feasible; writes nothing.
        progress: Where to report.
        command: The command line, for the report.
        begin: Called when the run folder is there and held.

    Returns:
        The report, with `kept` (whether every budget holds as measured, or else as predicted, and precisions
        that were drawn cost no more than they may), `measured` and
        `report_html`; a dry run returns what `profile` does.

    Raises:
        BudgetError: A budget is infeasible.
    """
    if dry_run:
        return profile(config, progress)
    config = resolved(config, progress)
    run = RunFolder.create(output_dir, config.model_dump(mode="json"), resume)
    with files.FolderLock(output_dir):
        begin()
        report = run_search(run, config, progress, command)
        built = build_views(report, run.report_dir)
    return {
        **report,
        "kept": all(budget["kept"] is not False for budget in report["budgets"])
        and not loses_too_much(report["tickets"][0]),
        "measured": report["device"]["measured"],
        "report_html": str(built.html),
    }


def draw(
    run: Path,
    budgets: Mapping[str, str],
    finetune_epochs: float | None,
    progress: Progress,
    device: str | None = None,
    precision: str | None = None,
    table: Path | None = None,
    allow_other_fingerprint: bool = False,
    max_drop: float | None = None,
) -> dict[str, Any]:
    """Draws another ticket from a trained run; no search, only the recipe that follows the draw.

    Args:
        run: Folder of a finished search.
        budgets: Metric to limit.
        finetune_epochs: Passes over the training data for the ticket, 0 for none; None for as many as the
            recipe of the run takes.
        progress: Where to report.
        device: Another device than the run's.
        precision: Of the deployed network; by default the run's, on another device that device's own, or
            that of its only table.
            "mixed": every part in the one that is drawn for it, with its widths.
        table: Folder of the latency table; by default the run's, on another device the one of that device.
        allow_other_fingerprint: Use a table also where the device is not as it was measured.
        max_drop: What precisions that are drawn may cost of the score, in the metric's unit; None for what
            they might in the run.

    Returns:
        The ticket's entry for the report, with `path`, `kept`, `measured` and `table`.
    """
    if max_drop is not None:
        require_drop(max_drop)
    if finetune_epochs is not None and not 0 <= finetune_epochs < math.inf:
        raise UsageError(f"the epochs of finetuning are a number, e.g. 0.5; got {finetune_epochs:g}")
    folder = RunFolder.open(run)
    asked: dict[str, Any] = {"budgets": dict(budgets), "allow_other_fingerprint": allow_other_fingerprint}
    if device is not None and get_device(device).name != folder.config.get("device"):
        supernet = folder.config["supernet"]["name"]
        precision = precision or precision_of_supernet(get_device(device), supernet, progress)
        asked |= {"device": device, "table": None}
    asked |= {"precision": precision} if precision else {}
    asked |= {"table": str(table)} if table else {}
    asked |= {} if max_drop is None else {"max_drop": max_drop}
    config = recorded_config(folder.config, asked, run / "config.yaml")
    with files.FolderLock(run):
        return draw_from_run(folder, config, finetune_epochs, progress)


def draw_each(
    run: Path,
    devices: Sequence[str] | None,
    budgets: Sequence[Mapping[str, str]],
    finetune_epochs: float | None,
    progress: Progress,
    precision: str | None = None,
    allow_other_fingerprint: bool = False,
    max_drop: float | None = None,
) -> list[dict[str, Any]]:
    """Draws a ticket for each device and budget from one trained run; arguments as of `draw`.

    Without devices it is the run's own.

    Returns:
        What `draw` returns, device by device, each with its `device`; for a budget that is infeasible there
        `device`, `budget_text`, `kept` (false) and `error`.
    """

    def one(device: str, asked: Mapping[str, str]) -> dict[str, Any]:
        named = {"device": device, "budget_text": ", ".join(asked.values())}
        try:
            ticket = draw(
                run,
                asked,
                finetune_epochs,
                progress,
                device,
                precision,
                None,
                allow_other_fingerprint,
                max_drop,
            )
        except BudgetError as error:
            progress.note(f"{device}: {error}")
            return {**named, "kept": False, "error": str(error)}
        return {**named, **ticket}

    names = [get_device(name).name for name in devices or [RunFolder.open(run).config["device"]]]
    return [one(name, asked) for name in names for asked in budgets]


def report(runs: list[Path], output_dir: Path | None, csv: bool = False) -> Path:
    """Writes one page over one or many runs, later draws included.

    Args:
        runs: Run folders.
        output_dir: Where to write; by default the first run's `report` folder.
        csv: Write the tables as CSV files too, beside the page.

    Returns:
        Path of the page.
    """
    folders = [RunFolder.open(run) for run in runs]
    place = output_dir or folders[0].report_dir
    reports = [with_deployments(folder.path, place, reports_of(folder)) for folder in folders]
    return build_views(merge_reports([one for own in reports for one in own]), place, csv).html


def _space(supernet: SupernetConfig, input_shape: tuple[int, int, int], classes: int) -> SearchSpace:
    return space_of(build_supernet(supernet.name, input_shape, classes, supernet.sizes), supernet.name)

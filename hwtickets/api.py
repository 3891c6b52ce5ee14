"""The verbs of hwtickets as functions; the command line is a thin layer over them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.config import SearchConfig, SupernetConfig, recorded_config
from hwtickets.deploy.bundle import read_bundle, write_bundle
from hwtickets.deploy.check import block_times, measure, verify_bundle
from hwtickets.devices import Check, DeviceProfile, get_device, list_devices, open_bench
from hwtickets.devices import check_device as check_profile
from hwtickets.errors import HwticketsError, UsageError, unknown
from hwtickets.progress import Progress
from hwtickets.report import build_views, merge_reports
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job
from hwtickets.search.pipeline import draw_from_run, run_search, stages_of
from hwtickets.search.recipes import finetune_ticket
from hwtickets.search.space_profile import describe_space
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet
from hwtickets.tables import LatencyTable, find_table, list_tables, table_folder
from hwtickets.tables import build_table as measure_table
from hwtickets.tables import check_table as compare_table

FORMATS = ("onnx",)
RECIPES = ("finetune",)


def devices() -> list[DeviceProfile]:
    """All known devices."""
    return list_devices()


def device(name: str) -> DeviceProfile:
    """The profile of a device; an unknown name is a usage error."""
    return get_device(name)


def check_device(name: str) -> list[Check]:
    """Whether a device can be measured on now, and what to do about it."""
    return check_profile(get_device(name))


def build_table(
    device: str,
    supernet: SupernetConfig,
    input_shape: tuple[int, int, int],
    classes: int,
    precision: str,
    output: Path | None,
    resume: bool,
    seed: int,
    progress: Progress,
) -> LatencyTable:
    """Measures the latency table of a supernet's operators on a device.

    Args:
        device: Name of the device.
        supernet: The supernet.
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs.
        precision: One of the device's.
        output: Where to write; by default where searches look for it.
        resume: Go on with an unfinished build.
        seed: Chooses the networks that are measured.
        progress: Where to report.
    """
    profile = get_device(device)
    space = _space(supernet, input_shape, classes)
    folder = output or table_folder(profile, space, precision)
    return measure_table(space, profile, folder, progress, seed, resume=resume, precision=precision)


def check_table(
    device: str,
    supernet: SupernetConfig,
    input_shape: tuple[int, int, int],
    classes: int,
    precision: str,
    samples: int,
    progress: Progress,
) -> dict[str, Any]:
    """Measures random networks and compares them with the table's predictions; keys as in `TableCheck`."""
    profile = get_device(device)
    space = _space(supernet, input_shape, classes)
    table = find_table(profile, space, precision)
    if table is None:
        raise HwticketsError(
            f"there is no table of this supernet for {device} at {precision};"
            f" build it with: hwtickets table build --device {device} --supernet {supernet.name}"
        )
    return dataclasses.asdict(compare_table(table, space, profile, samples, progress=progress))


def table_info(device: str, precision: str) -> dict[str, Any]:
    """Every table of a device that this machine holds: where it is, what was measured, its stated error."""
    profile = get_device(device)
    return {"device": profile.name, "tables": list_tables(profile, precision)}


def profile(config: SearchConfig, progress: Progress) -> dict[str, Any]:
    """What the space costs on the device and whether the budgets can be kept; no training.

    Args:
        config: Device, supernet, task, data and budgets.
        progress: Where to report.

    Returns:
        Dense and smallest costs, the number of networks, the budgets with `feasible` and `nearest`, the
        costliest blocks.
    """
    job = Job.prepare(config, progress)
    return describe_space(job)


def search_stages(config: SearchConfig) -> list[str]:
    """Names of the stages of a search, for its progress display."""
    return stages_of(config)


def search(
    config: SearchConfig, output_dir: Path, resume: bool, dry_run: bool, progress: Progress, command: str
) -> dict[str, Any]:
    """Runs the main job: from budgets to a measured, exported ticket and its report.

    Args:
        config: What is asked for.
        output_dir: The run folder.
        resume: Go on with a run that was interrupted.
        dry_run: Only check that everything fits and the budgets are feasible; writes nothing.
        progress: Where to report.
        command: The command line, for the report.

    Returns:
        The report, with `kept` (whether every budget holds as measured) and `report_html`; a dry run
        returns what `profile` does.

    Raises:
        BudgetError: A budget is infeasible.
    """
    if dry_run:
        return profile(config, progress)
    run = RunFolder.create(output_dir, config.model_dump(mode="json"), resume)
    with files.FolderLock(output_dir):
        report = run_search(run, config, progress, command)
        built = build_views(report, run.report_dir)
    return {
        **report,
        "kept": all(budget["kept"] for budget in report["budgets"]),
        "report_html": str(built.html),
    }


def draw(
    run: Path, budgets: Mapping[str, str], device: str | None, finetune: bool, progress: Progress
) -> dict[str, Any]:
    """Draws another ticket from a trained run; no search, only a short finetuning.

    Args:
        run: Folder of a finished search.
        budgets: Metric to limit.
        device: Another device than the run's.
        finetune: Whether the ticket is trained further.
        progress: Where to report.

    Returns:
        The ticket's entry for the report, with `path` and `kept`.
    """
    folder = RunFolder.open(run)
    asked = {"budgets": dict(budgets), **({"device": device} if device else {})}
    config = recorded_config(folder.config, asked, run / "config.yaml")
    with files.FolderLock(run):
        return draw_from_run(folder, config, finetune, progress)


def retrain(
    ticket: Path, recipe: str, epochs: float, output_dir: Path | None, progress: Progress
) -> dict[str, Any]:
    """Trains a drawn ticket further.

    Args:
        ticket: Folder of the ticket.
        recipe: "finetune".
        epochs: Passes over the training data.
        output_dir: Folder of the new ticket; by default beside the old one.
        progress: Where to report.

    Returns:
        `path` of the new ticket, its hash, and the validation score before and after.
    """
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if not 0 < epochs < math.inf:
        raise UsageError(f"the epochs of retraining are a number above 0, e.g. 2; got {epochs:g}")
    return finetune_ticket(
        ticket, epochs, output_dir or ticket.with_name(f"{ticket.name}-{recipe}"), progress
    )


def export(ticket: Path, format: str, output_dir: Path | None) -> Path:
    """Writes a ticket as a bundle: model, description, samples, runner.

    Args:
        ticket: Folder of the ticket.
        format: "onnx".
        output_dir: Where to write; by default `bundle` beside the ticket.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    return write_bundle(ticket, output_dir or ticket.with_name("bundle"))


def verify(bundle: Path, device: str, images: int) -> dict[str, Any]:
    """Compares a bundle on a device with PyTorch, on real validation images.

    Raises:
        NumericsError: The outputs differ by more than the precision explains.
    """
    opened = read_bundle(bundle)
    with open_bench(get_device(device), opened.facts["precision"]) as bench:
        numerics, accuracy = verify_bundle(opened, bench, images)
    numerics.require_ok(opened.model_path)
    return {**numerics.as_dict(), "accuracy_on_samples_percent": accuracy}


def benchmark(bundle: Path, device: str, runs: int, dense: Path | None) -> dict[str, Any]:
    """Times a bundle on a device.

    Args:
        bundle: Folder of the bundle.
        device: Name of the device.
        runs: Timed runs.
        dense: Another bundle (the dense network) to be timed interleaved with it.

    Returns:
        Percentiles in ms, the time of every block, and the ratio to `dense` with its 95 % interval.
    """
    opened, profile = read_bundle(bundle), get_device(device)
    models = {"ticket": opened.model_path}
    if dense is not None:
        models["dense"] = read_bundle(dense).model_path
    image = opened.samples.inputs[:1]
    with open_bench(profile, opened.facts["precision"]) as bench:
        measured = measure(models, "dense" if dense else "ticket", bench, runs, image)
        latency = measured.timings["ticket"]
        blocks = block_times(opened.model_path, opened.facts["forms"], bench, image, latency.p50_ms)
    result: dict[str, Any] = {
        "device": profile.name,
        "latency_ms": latency.summary(),
        "throughput_per_s": 1000 / latency.p50_ms,
        "blocks": blocks,
    }
    if dense is not None:
        result["dense_latency_ms"] = measured.timings["dense"].summary()
        result["ratio"] = dict(zip(("median", "low", "high"), measured.ratios["ticket"], strict=True))
    return result


def report(runs: list[Path], output_dir: Path | None) -> Path:
    """Writes one page over one or many runs, later draws included.

    Args:
        runs: Run folders.
        output_dir: Where to write; by default the first run's `report` folder.

    Returns:
        Path of the page.
    """
    folders = [RunFolder.open(run) for run in runs]
    merged = merge_reports([_report_of(folder) for folder in folders])
    return build_views(merged, output_dir or folders[0].report_dir).html


def _report_of(run: RunFolder) -> dict[str, Any]:
    """The search's report with the tickets drawn later."""
    report: dict[str, Any] = files.read_json(run.state / "report.json", "report of a finished search")
    drawn = [files.read_json(path, "drawn ticket") for path in sorted(run.path.glob("draws/*/entry.json"))]
    return {**report, "tickets": [*report["tickets"], *drawn]}


def _space(supernet: SupernetConfig, input_shape: tuple[int, int, int], classes: int) -> SearchSpace:
    return SearchSpace(build_supernet(supernet.name, input_shape, classes, supernet.sizes), supernet.name)

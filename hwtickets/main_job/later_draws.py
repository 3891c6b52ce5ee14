"""Tickets that are drawn later from a trained run, also for other devices, and their place in its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hwtickets import files
from hwtickets.config import SearchConfig
from hwtickets.config_files import parse_supernet
from hwtickets.costs import LatencyCost
from hwtickets.main_job.delivery import Delivery
from hwtickets.main_job.device_entries import device_entries
from hwtickets.main_job.order import Order
from hwtickets.main_job.pipeline import point_of
from hwtickets.main_job.prepared import prepare
from hwtickets.main_job.summary import ticket_entry
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job


def draw_from_run(
    run: RunFolder,
    config: SearchConfig,
    epochs: float | None,
    progress: Progress,
) -> dict[str, Any]:
    """Draws another ticket of a finished search, applies the run's recipe to it and measures it.

    Args:
        run: The run folder, locked by the caller.
        config: The run's configuration with the new budgets and device.
        epochs: Passes over the training data for the ticket; None for as many as the recipe takes.
        progress: Where to report.

    Returns:
        The ticket's entry for the report, with `path`, `kept`, `measured` and the `table` of the prices.

    Raises:
        BudgetError: The budget is infeasible.
        HwticketsError: The run is not finished.
    """
    job = Job.prepare(config, progress)
    prepared = prepare(job)
    pricing = prepared.pricing(job, config.price)
    state = run.state / config.price
    point = point_of(job, pricing, state, prepared.limits, prepared.costs_of_points(pricing))
    folder = run.path / "draws" / _folder_name(run, job)
    (folder / "delivery.json").unlink(missing_ok=True)
    steps = None if epochs is None else round(epochs * job.task.steps_per_epoch)
    order = Order(pricing, point, prepared.profile, prepared.table, state, folder, steps=steps)
    order = replace(order, mixed=prepared.mixed)
    entry = Delivery(run, job, order).deliver()
    latency = LatencyCost(prepared.table, prepared.profile.correction)
    shown = ticket_entry(entry, config.price, "ticket", job, latency, folder, test=False)
    files.write_json(folder / "entry.json", shown)
    facts = device_entries(job, prepared.table, prepared.profile, prepared.limits, entry)
    files.write_json(folder / "device.json", facts)
    return {
        **shown,
        "path": str(folder),
        "kept": entry["kept"],
        "measured": entry["latency_ms"] is not None,
        "table": prepared.table.name,
    }


def reports_of(run: RunFolder) -> list[dict[str, Any]]:
    """The search's report with the tickets drawn later, then one report for each other device drawn for.

    Latencies of two devices, or measured and predicted ones, do not belong into one picture.
    """
    own: dict[str, Any] = files.read_json(run.state / "report.json", "report of a finished search")
    reports = {_identity(own): {**own, "tickets": list(own["tickets"])}}
    for path in sorted(run.path.glob("draws/*/entry.json")):
        ticket = files.read_json(path, "drawn ticket")
        facts = files.read_json(path.with_name("device.json"), "device of a drawn ticket")
        report = reports.setdefault(_identity(facts), _elsewhere(run, own, facts))
        report["tickets"].append(ticket)
    return list(reports.values())


def _elsewhere(run: RunFolder, own: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a run for a device that it was not searched for, without tickets yet."""
    return {
        **own,
        **facts,
        "title": f"{parse_supernet(run.config['supernet']).title} on {facts['device']['name']}: drawn from"
        f" {run.path.name}",
        "dense": {**own["dense"], **facts["dense"]},
        "tickets": [],
        "stages": [],
        "history": [],
    }


def _identity(report: Mapping[str, Any]) -> tuple[object, ...]:
    device = report["device"]
    return device["name"], device["precision"], device["measured"]


def _folder_name(run: RunFolder, job: Job) -> str:
    name = "-".join(f"{metric}-{budget.text}" for metric, budget in job.budgets.items()).replace("%", "pc")
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    asked = (job.device.name, run.config["device"]), (job.config.precision, run.config["precision"])
    return "-".join([*(now for now, before in asked if now != before), safe])

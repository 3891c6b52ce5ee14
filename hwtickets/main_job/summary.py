"""The report of a run, put together from what its stages left behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.costs import LatencyCost
from hwtickets.main_job.device_entries import budget_text, device_entries
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job
from hwtickets.search.space_profile import SpaceProfile
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tables import LatencyTable
from hwtickets.tasks.task import score_on_test

_PRICE_NAMES = {"latency": "latency", "macs": "MACs"}


def summarise(
    run: RunFolder,
    job: Job,
    table: LatencyTable,
    profile: SpaceProfile,
    limits: Mapping[str, float],
    entries: Mapping[str, dict[str, Any]],
    command: str,
) -> dict[str, Any]:
    """Scores dense network and tickets on the test data, once, and puts the report together.

    Args:
        run: The run folder.
        job: The search.
        table: Prices.
        profile: Costs of the dense network.
        limits: Budgets as numbers by metric.
        entries: What was delivered, by the price that it was searched with; the run's own first.
        command: The command line.

    Returns:
        A dict that `report.build_views` takes.
    """
    own = next(iter(entries.values()))
    latency = LatencyCost(table, profile.correction)
    folders = {
        price: run.path if entry is own else run.state / price / "delivered"
        for price, entry in entries.items()
    }
    tickets = [
        ticket_entry(entry, price, "ticket" if entry is own else "comparison", job, latency, folders[price])
        for price, entry in entries.items()
    ]
    record = run.read_record()
    shared = device_entries(job, table, profile, limits, own)
    return {
        **shared,
        "schema": 1,
        "title": (
            f"{job.config.supernet.title} on {job.device.name}: {budget_text(job) or job.config.pipeline}"
        ),
        "created": time.strftime("%Y-%m-%d %H:%M:%S"),
        "task": {
            "name": job.task.name,
            "data": job.config.data,
            "metric": job.task.metric,
            "metric_unit": job.task.metric_unit,
            "higher_is_better": job.task.higher_is_better,
            "resolution": _resolution(job),
            "classes": job.task.classes,
        },
        "seed": job.config.seed,
        "versions": record["versions"],
        "command": command,
        "unprunable": dict(job.space.unprunable),
        "dense": {**_dense_entry(run, job, profile), **shared["dense"]},
        "tickets": tickets,
        "stages": record["stages"],
        "history": _history(run, profile),
    }


def _resolution(job: Job) -> int | list[int] | None:
    """The side of square images, else their height and width, in pixels; None for other inputs."""
    sides = list(job.task.input_shape[1:])
    if len(sides) != 2:
        return None
    return sides[0] if sides[0] == sides[1] else sides


def ticket_entry(
    entry: Mapping[str, Any],
    price: str,
    role: str,
    job: Job,
    latency: LatencyCost,
    folder: Path,
    test: bool = True,
) -> dict[str, Any]:
    """One ticket for the report.

    Args:
        entry: What `Delivery.deliver` returned.
        price: What it was drawn by.
        role: "ticket" or "comparison".
        job: The search.
        latency: Gives the expected error of the prediction.
        folder: Where it was delivered.
        test: Whether to score it on the test data.
    """
    copied = ("id", "latency_ms", "ratio", "macs", "params", "size_bytes", "compressed_bytes", "sparsity")
    label = _ticket_label(job) if role == "ticket" else f"priced by {_PRICE_NAMES[price]}"
    speed = entry["speed"]
    score, figures = score_on_test(job.task, Ticket.load(folder / "ticket").module()) if test else (None, {})
    return {
        **{key: entry[key] for key in copied},
        "label": label,
        "role": role,
        "price": price,
        "budget_text": budget_text(job),
        "pattern": job.config.mask_pattern if job.config.sparsity else "",
        "predicted_ms": speed * entry["predicted_ms"],
        "estimated": latency.table.estimated(job.space.graph(entry["widths"], entry["forms"])),
        "predicted_error_ms": speed * latency.predict_ms(job.space.graph(entry["widths"], entry["forms"]))[1],
        "accuracy": {
            "validation": entry["validation"],
            "test": score,
            "test_figures": figures,
            "before_finetune": entry["before_finetune"],
        },
        "blocks": entry["blocks"],
        "units": _units(entry["widths"], job),
        **{key: entry[key] for key in ("precisions", "drop", "max_drop") if key in entry},
        "draws": [_at_speed(draw, speed) for draw in entry["draws"]],
        "verify": {key: value for key, value in entry["verify"].items() if key != "tolerance"},
    }


def _ticket_label(job: Job) -> str:
    pipeline = job.config.pipeline
    named = "" if pipeline == "two-in-one" else pipeline
    return " ".join(part for part in (budget_text(job), named, "ticket") if part)


def _at_speed(draw: Mapping[str, Any], speed: float) -> dict[str, Any]:
    """A draw with its latencies at the device's speed in the last measurement."""
    scaled = {key: value * speed for key, value in draw.items() if key.endswith("_ms") and value is not None}
    return {**draw, **scaled}


def _units(widths: Mapping[str, int], job: Job) -> list[dict[str, Any]]:
    return [
        {
            "name": unit.name,
            "block": unit.block,
            "kernel": int(unit.name.rpartition(".k")[2]) if ".k" in unit.name else None,
            "kept": widths[unit.name],
            "total": unit.width,
        }
        for unit in job.space.units.values()
    ]


def _dense_entry(run: RunFolder, job: Job, profile: SpaceProfile) -> dict[str, Any]:
    folder = run.state / "dense"
    trained = (folder / "ticket" / "ticket.json").exists()
    bundle = folder / "bundle" / "model.onnx"
    module = Ticket.load(folder / "ticket").module() if trained else None
    test, figures = score_on_test(job.task, module) if module else (None, {})
    return {
        "label": "dense",
        "accuracy": {
            "validation": job.task.score(module, "validation") if module else None,
            "test": test,
            "test_figures": figures,
            "before_finetune": None,
        },
        "macs": profile.dense["macs"],
        "params": sum(parameter.numel() for parameter in (module or job.supernet()).parameters()),
        "size_bytes": bundle.stat().st_size if bundle.exists() else int(profile.dense["size"]),
    }


def _history(run: RunFolder, profile: SpaceProfile) -> list[dict[str, Any]]:
    events = files.read_jsonl(run.path / "events.jsonl", "list of events")
    # A resumed search tells the shrinks since its checkpoint once more: the last word on each counts.
    shrinks = {event["index"]: event for event in events if event.get("stage") == "search"}
    return [
        {
            "step": event["step"],
            "loss": event["loss"],
            "latency_share": event["costs"]["latency"] / profile.dense["latency"],
            "strength": event["strength"],
            "validation": None,
        }
        for event in shrinks.values()
    ]

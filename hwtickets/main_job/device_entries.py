"""What a report says of one device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwtickets.budgets import format_amount
from hwtickets.costs import LatencyCost, why_no_energy
from hwtickets.costs.credit import credit_note
from hwtickets.deploy.precision import Fp32
from hwtickets.search.job import Job
from hwtickets.search.space_profile import SpaceProfile
from hwtickets.tables import LatencyTable

#: Runtimes that build an engine of their own precision from the bundle.
_BUILDERS = ("tensorrt", "trtexec")


def device_entries(
    job: Job,
    table: LatencyTable,
    profile: SpaceProfile,
    limits: Mapping[str, float],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """What a report says of one device: the device, its table, the budgets, the dense network on it.

    Args:
        job: The search or draw.
        table: Prices.
        profile: Costs of the dense network.
        limits: Budgets as numbers by metric.
        own: What `Delivery.deliver` returned.
    """
    measured = own["latency_ms"] is not None
    return {
        "device": {
            "name": job.device.name,
            "runtime": job.device.runtime,
            "precision": job.config.precision,
            "measured": measured,
            "energy": _energy(table, profile, own),
            "fingerprint": dict(own["fingerprint"]),
        },
        "budgets": [_budget_entry(metric, job, limits[metric], own) for metric in job.budgets],
        "dense": _dense_on_device(job, table, profile, own),
        "table": {"name": table.name, "rows": len(table.rows), "error": dict(table.error)},
        "notes": [*_notes(job, table, measured), *_notes_on_masks(job, own), *_notes_on_mix(own, measured)],
    }


def _dense_on_device(
    job: Job, table: LatencyTable, profile: SpaceProfile, own: Mapping[str, Any]
) -> dict[str, Any]:
    predicted_ms = error_ms = None
    if own["dense_latency_ms"] is None:
        dense = job.space.graph(job.space.dense(), profile.forms)
        predicted_ms, error_ms = LatencyCost(table).predict_ms(dense)
    return {
        "latency_ms": own["dense_latency_ms"],
        "predicted_ms": predicted_ms,
        "predicted_error_ms": error_ms,
        "blocks": own["dense_blocks"],
    }


def _energy(table: LatencyTable, profile: SpaceProfile, own: Mapping[str, Any]) -> str:
    """Energies of the dense network and of the ticket, or why there are none."""
    reason = why_no_energy(table)
    if reason is not None:
        return f"not available: {reason}"
    dense, ticket = (format_amount("energy", costs["energy"]) for costs in (profile.dense, own["costs"]))
    return f"dense {dense}, ticket {ticket}; predicted from the table, not measured"


def _notes(job: Job, table: LatencyTable, measured: bool) -> list[str]:
    """What must be said with every figure of the device."""
    device, precision = job.device, job.config.precision
    known = [] if measured else _notes_on_prediction(device.name, table)
    if job.mixed:
        return known
    if device.runtime in _BUILDERS and precision != Fp32.name:
        return [*known, f"The bundle is {Fp32.name}; TensorRT builds {precision} from it."]
    if device.runtime not in (*_BUILDERS, "onnxruntime"):
        return [*known, f"The bundle is ONNX; the latencies are of {device.runtime} at {precision}."]
    return known


def _notes_on_masks(job: Job, own: Mapping[str, Any]) -> list[str]:
    if not job.config.sparsity:
        return []
    return [credit_note(job.config.mask_pattern, own["sparsity"], job.device)]


def _notes_on_mix(own: Mapping[str, Any], measured: bool) -> list[str]:
    """Which part was drawn in which precision, and what that costs."""
    if "precisions" not in own:
        return []
    by_precision: dict[str, list[str]] = {}
    for part, precision in own["precisions"].items():
        by_precision.setdefault(precision, []).append(part)
    parts = "; ".join(f"{precision}: {', '.join(names)}" for precision, names in by_precision.items())
    unknown = "What a conversion between precisions costs is not known: it is counted as nothing."
    return [
        f"Drawn with the widths, the precision of every part: {parts}. On validation images that costs"
        f" {own['drop']:.2g} points, {own['max_drop']:g} are allowed; accuracies are those in fp32.",
        *([] if measured else [unknown]),
    ]


def _notes_on_prediction(device: str, table: LatencyTable) -> list[str]:
    notes = [
        f"No {device} was at hand: its latencies are predicted, not measured. To measure on a board:"
        " hwtickets devices add NAME --ssh user@host; hwtickets draw RUN --device NAME",
        "What the exported network computes was checked in ONNX Runtime on the searching machine.",
        f"Table {table.name} is {table.describe()['kind']}; where its numbers come from: hwtickets table info"
        f" {table.device}",
    ]
    if "p90_error" not in table.error:
        notes.append(
            f"Table {table.name} states no error on whole networks: the expected error is that of its"
            " operators."
        )
    return notes


def _budget_entry(metric: str, job: Job, limit: float, own: Mapping[str, Any]) -> dict[str, Any]:
    speed = own["speed"] if metric == "latency" else 1.0
    value = own["budget_ms"] if metric == "latency" else own["costs"][metric]
    # Energies come from the table: the delivered network itself is not put on the meter.
    predicted = metric == "energy" or (metric == "latency" and own["latency_ms"] is None)
    kept = value <= limit
    units = {"latency": "ms", "macs": "MACs", "size": "bytes", "params": "parameters", "energy": "mJ"}
    return {
        "metric": metric,
        "text": job.budgets[metric].text,
        "limit": limit * speed,
        "unit": units[metric],
        "value": value * speed,
        # Whether the device keeps it, nobody knows; that even the prediction misses it, is known.
        "kept": None if predicted and kept else kept,
        "predicted": predicted,
    }


def budget_text(job: Job) -> str:
    """The budgets as they were given."""
    return ", ".join(budget.text for budget in job.budgets.values())

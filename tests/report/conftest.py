from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[1] / "data" / "report-example.json"


@pytest.fixture
def example() -> dict[str, Any]:
    """A report with made-up figures: two tickets, a MAC-priced comparison, and one never measured."""
    report: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return report


@pytest.fixture
def unmeasured(example: dict[str, Any]) -> dict[str, Any]:
    """The same run where the device could not be reached: predictions and accuracies only."""
    example["device"]["measured"] = False
    example["dense"] |= {"latency_ms": None, "blocks": []}
    for ticket in example["tickets"]:
        ticket |= {"latency_ms": None, "ratio": None, "blocks": [], "draws": []}
    for budget in example["budgets"]:
        budget |= {"value": None, "kept": None}
    return example


@pytest.fixture
def predicted(unmeasured: dict[str, Any]) -> dict[str, Any]:
    """The same run for a device that only a table describes, as a search writes it."""
    for network in (unmeasured["dense"], *unmeasured["tickets"]):
        network |= {"predicted_ms": 0.129, "predicted_error_ms": 0.0123}
    unmeasured["tickets"][0]["predicted_ms"] = 0.0514
    for budget in unmeasured["budgets"]:
        budget |= {"value": 0.0514, "kept": None, "predicted": True}
    for network in (unmeasured["dense"], unmeasured["tickets"][0]):
        network["blocks"] = [{"name": "stem", "ms": 0.02}]
    return unmeasured | {"notes": ["The bundle is fp32; TensorRT builds fp16 from it."]}


@pytest.fixture
def bare(example: dict[str, Any]) -> dict[str, Any]:
    """The least that a report may hold: no figure at all."""
    kept = {key: example[key] for key in ("schema", "title", "task", "device")}
    return kept | {"dense": {}}

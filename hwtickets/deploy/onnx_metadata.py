"""What an exported model says about itself: one JSON for programs, plain texts for readers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: Entries of the preprocessing that are shown one by one.
_SHOWN = ("resolution", "layout", "color", "mean", "std")


def model_metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """The texts that travel inside the model.

    Args:
        facts: What `model.json` says of the model: ticket, task, classes, preprocessing, input, opset.

    Returns:
        `hwtickets.ticket` (the ticket's hash) and `hwtickets.model` (all facts as JSON), and for readers
        `task`, `precision`, `classes`, `resolution`, `layout`, `color`, `mean`, `std`, `input_range` (of the
        values that `mean` and `std` are taken off) and `x_range` (of the network's input then).
    """
    preprocessing = facts["preprocessing"]
    texts = {
        "hwtickets.ticket": facts["ticket"],
        "hwtickets.model": json.dumps(facts),
        "task": facts["task"],
        "precision": facts["precision"],
        "classes": ", ".join(map(str, facts["classes"])),
        **{name: _text(preprocessing[name]) for name in _SHOWN if name in preprocessing},
    }
    if "input_range" in preprocessing:
        texts["input_range"] = _range(*preprocessing["input_range"])
    if {"input_range", "mean", "std"} <= set(preprocessing):
        texts["x_range"] = _range(*_normalised(preprocessing))
    return texts


def _normalised(preprocessing: Mapping[str, Any]) -> tuple[float, float]:
    low, high = preprocessing["input_range"]
    scales = list(zip(preprocessing["mean"], preprocessing["std"], strict=True))
    return min((low - mean) / std for mean, std in scales), max((high - mean) / std for mean, std in scales)


def _range(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

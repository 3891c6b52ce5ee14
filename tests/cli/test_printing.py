from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwtickets.cli.printing import print_fields, print_json


@dataclass
class _Finding:
    path: Path
    share: float


def test_json_is_one_value_that_other_readers_take(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": _Finding(Path("x/y"), float("nan")), "b": (1, 2)})
    assert json.loads(capsys.readouterr().out) == {"a": {"path": "x/y", "share": None}, "b": [1, 2]}


def test_fields_carry_their_units_and_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields(
        {
            "predicted_ms": 0.0516,
            "size_bytes": 120_000,
            "macs": 8.5e6,
            "kept": True,
            "accuracy": {"test": None},
            "draws": [{"index": 1, "measured_ms": 0.25, "units": [1]}],
            "names": ["a", "b"],
            "estimated": [],
            "unprunable": {},
        }
    )
    assert capsys.readouterr().out.splitlines() == [
        "predicted   0.0516 ms",
        "size        120 kB",
        "macs        8.5 M MACs",
        "kept        yes",
        "accuracy",
        "  test      not measured",
        "draws",
        "  -         index 1, measured 0.25 ms",
        "names       a, b",
        "estimated   none",
        "unprunable  none",
    ]

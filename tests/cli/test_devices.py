from __future__ import annotations

import json

import pytest

from hwtickets.cli.main import run


def test_this_cpu_is_on_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "list", "--json"]) == 0
    assert "cpu" in [device["name"] for device in json.loads(capsys.readouterr().out)]


def test_a_device_is_shown_with_its_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "show", "cpu"]) == 0
    assert "onnxruntime" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "devices show cpuu",
        "devices check cpuu",
        "table info --device cpuu",
        "profile --device cpuu --latency 40%",
        "search --device cpuu --latency 40% --dry-run",
    ],
)
def test_an_unknown_device_names_the_nearest(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert run(line.split()) == 2
    assert "error: unknown device 'cpuu'; did you mean 'cpu'?" in capsys.readouterr().err


def test_an_impossible_budget_is_code_3_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "--macs", "1 MACs", "--set", "stages=[[16,1,1]]"]) == 3
    assert "the nearest feasible one is" in capsys.readouterr().err

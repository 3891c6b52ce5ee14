from __future__ import annotations

import json
import re

import pytest

from hwtickets.cli.main import run
from hwtickets.tables.shipped import ALIASES, ShippedDevice, shipped_devices


def test_this_cpu_is_on_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "list", "--json"]) == 0
    assert "cpu" in [device["name"] for device in json.loads(capsys.readouterr().out)]


def test_a_device_is_shown_with_its_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "show", "cpu"]) == 0
    assert "onnxruntime" in capsys.readouterr().out


def test_the_list_says_how_each_device_is_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["cpu", "this", "machine"]
    shipped = [line for line in lines if line.split()[0] in {device.name for device in shipped_devices()}]
    assert len(shipped) == len(shipped_devices())
    assert all("table only: predicted" in line for line in shipped)


def test_facts_are_shown_with_where_they_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "show", "cpu"]) == 0
    shown = dict(re.split("  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert "(vector unit" in shown["alignment"]
    assert "not known" in shown["dla cores"] and shown["reached"] == "this machine"
    assert shown["sensors"].count("(") >= 1
    assert (shown["graphs"], shown["operator times"]) == ("fp32, fp16, int8", "yes")


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("verb", ["devices show", "table info"])
def test_a_short_name_says_what_it_was_taken_for(
    capsys: pytest.CaptureFixture[str], alias: str, verb: str
) -> None:
    assert run([*verb.split(), alias]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith(f"device {alias}: taken as {ALIASES[alias]} (")
    assert ALIASES[alias] in shown.out


@pytest.mark.parametrize("device", shipped_devices(), ids=lambda device: device.name)
def test_every_number_of_a_shipped_table_has_its_source(
    capsys: pytest.CaptureFixture[str], device: ShippedDevice
) -> None:
    assert run(["table", "info", device.name, "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert len(tables) == len(device.tables)
    for table in tables:
        assert table["kind"] and table["error"] and table["provenance"]["method"]
        sources = table["provenance"]["source"]
        assert sources and all(source["licence"] and source["url"] for source in sources)


@pytest.mark.parametrize(
    "line",
    [
        "devices show cpuu",
        "devices check cpuu",
        "table info --device cpuu",
        "table info cpuu",
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

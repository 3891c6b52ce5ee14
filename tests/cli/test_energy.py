from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwtickets.cli.main import run
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet
from hwtickets.tables import LatencyTable, Row, save_table
from hwtickets.tables.energy import without_energy

SIZES = {"stem_channels": 8, "stages": [[16, 1, 1], [16, 1, 2]], "expand_ratio": 2, "kernel_sizes": [3, 5]}
SETTINGS = [part for key, value in SIZES.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture
def table() -> LatencyTable:
    """Every operator takes 1 us and 1 us for 100,000 MACs, at 5 W."""
    space = SearchSpace(build_supernet("mobile", (1, 28, 28), 10, SIZES), "mobile")
    widths = [{name: count for name in space.units} for count in (0, 16, 32)]
    specs = {operator.spec for each in widths for operator in space.graph({**space.dense(), **each})}
    rows = {}
    for spec in sorted(specs, key=repr):
        latency_ms = 1e-3 + spec.macs / 1e8
        rows[spec] = Row(latency_ms, energy_mj=5 * latency_ms)
    return LatencyTable("cpu", "onnxruntime", "fp32", 1, 16, {}, rows)


def profile(folder: Path, *options: str) -> int:
    given = ["--table", str(folder), "--allow-other-fingerprint", *SETTINGS, *options]
    return run(["profile", "--json", *given])


def test_a_budget_of_energy_is_compared_with_the_dense_network(
    table: LatencyTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_table(table, tmp_path)
    assert profile(tmp_path, "--energy", "70%") == 0
    result = json.loads(capsys.readouterr().out)
    (budget,) = result["budgets"]
    assert (budget["metric"], budget["feasible"]) == ("energy", True)
    assert budget["limit"] == pytest.approx(0.7 * result["dense_energy_mj"])
    assert 0 < result["min_energy_mj"] < result["dense_energy_mj"]


def test_a_budget_below_every_network_is_not_feasible(
    table: LatencyTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_table(table, tmp_path)
    assert profile(tmp_path, "--energy", "1nJ") == 3
    assert "energy budget 1nJ cannot be kept; the nearest feasible one is" in capsys.readouterr().err


@pytest.mark.parametrize("reason", ["INA3221: there is no sensor", None])
def test_without_a_sensor_there_is_one_line_with_the_reason(
    table: LatencyTable, tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: str | None
) -> None:
    silent = replace(table, rows={spec: Row(row.latency_ms) for spec, row in table.rows.items()})
    save_table(without_energy(silent, reason) if reason else silent, tmp_path)
    shown = reason or "its latency table was made without a power sensor"
    assert profile(tmp_path, "--energy", "50mJ") == 4
    assert f"error: energy is not available on cpu: {shown}\n" in capsys.readouterr().err
    assert profile(tmp_path, "--latency", "70%") == 0
    assert json.loads(capsys.readouterr().out)["energy"] == f"not available: {shown}"

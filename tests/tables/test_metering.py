from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest

from hwtickets.devices.several import SeveralBoards
from hwtickets.power import EnergyPerRun, NoMeterError
from hwtickets.progress import Progress
from hwtickets.runtimes import LocalBench
from hwtickets.runtimes.onnxruntime import OnnxRuntime
from hwtickets.tables import LatencyTable
from hwtickets.tables.measure import Journal
from hwtickets.tables.metering import with_energies
from hwtickets.tables.plan import Plan
from hwtickets.tables.sampling import Space

_QUIET = Progress(quiet=True)


class _Metered:
    """A bench on which an inference takes 1 mJ for each 100 bytes of its model."""

    boards = 1

    def __init__(self, measurements: int = 1000, precision: str = "fp32") -> None:
        self.left = measurements
        self.measured = 0
        self.kinds: Counter[str] = Counter()
        self.fingerprint = {"runtime": "onnxruntime 1.2", "precision": precision}

    def sensor(self) -> str:
        return "INA3221 VDD_IN"

    def energy(self, model: bytes, inputs: Mapping[str, Any]) -> EnergyPerRun:
        if self.measured == self.left:
            raise KeyboardInterrupt
        self.measured += 1
        self.kinds.update(node.op_type for node in onnx.load_from_string(model).graph.node)
        return EnergyPerRun(len(model) / 100, 1.0, 200.0, 50, 3.0, 600, "INA3221 VDD_IN")


@pytest.fixture
def plan(space: Space) -> Plan:
    return Plan(space, alignment=16, seed=0)


def test_a_sensor_gives_the_table_a_column(table: LatencyTable, plan: Plan, tmp_path: Path) -> None:
    bench = _Metered()
    found = with_energies(table, plan, bench, Journal(tmp_path / "j", {}), _QUIET)  # type: ignore[arg-type]
    assert all(row.energy_mj is not None and row.energy_mj >= 0 for row in found.rows.values())
    assert found.provenance["energy"]["sensor"] == "INA3221 VDD_IN"
    assert bench.measured == plan.first + len(plan.calibration) + 10


def test_energies_are_of_the_network_that_is_timed(table: LatencyTable, plan: Plan, tmp_path: Path) -> None:
    eight, full = _Metered(1, "int8"), _Metered(1)
    for bench in (eight, full):
        with pytest.raises(KeyboardInterrupt):
            with_energies(table, plan, bench, Journal(tmp_path / "j", {"b": str(bench)}), _QUIET)  # type: ignore[arg-type]
    assert eight.kinds["DequantizeLinear"] > 0 == full.kinds["DequantizeLinear"]


def test_of_several_boards_the_first_ones_sensor_is_read(
    table: LatencyTable, plan: Plan, tmp_path: Path
) -> None:
    first, second = _Metered(), _Metered()
    boards = SeveralBoards(["a", "b"], [first, second])  # type: ignore[list-item]
    found = with_energies(table, plan, boards, Journal(tmp_path / "j", {}), _QUIET)
    assert found.provenance["energy"]["sensor"] == "INA3221 VDD_IN"
    assert first.measured > 0 == second.measured


def test_an_interrupted_build_measures_no_energy_twice(
    table: LatencyTable, plan: Plan, tmp_path: Path
) -> None:
    first, second, whole = _Metered(17), _Metered(), _Metered()
    with pytest.raises(KeyboardInterrupt):
        with_energies(table, plan, first, Journal(tmp_path / "j", {}), _QUIET)  # type: ignore[arg-type]
    found = with_energies(table, plan, second, Journal(tmp_path / "j", {}), _QUIET)  # type: ignore[arg-type]
    assert first.measured + second.measured == plan.first + len(plan.calibration) + 10
    assert found == with_energies(table, plan, whole, Journal(tmp_path / "k", {}), _QUIET)  # type: ignore[arg-type]


def test_without_a_sensor_the_table_says_why(
    table: LatencyTable, plan: Plan, tmp_path: Path, steady_bench: Callable[..., Any]
) -> None:
    bench = LocalBench({}, OnnxRuntime(1))
    try:
        bench.sensor()
    except NoMeterError as error:
        found = with_energies(table, plan, bench, Journal(tmp_path / "j", {}), _QUIET)
        assert found.provenance["energy"] == {"reason": error.reason}
        assert found.rows == table.rows
    unmetered = with_energies(table, plan, steady_bench(), Journal(tmp_path / "j", {}), _QUIET)
    assert "nothing reads sensors while" in unmetered.provenance["energy"]["reason"]

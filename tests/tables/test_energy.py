from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hwtickets.errors import DeviceError
from hwtickets.power import EnergyPerRun, NoMeterError, energy_per_run
from hwtickets.power.ina3221 import Ina3221Meter
from hwtickets.space.operators import OperatorGraph
from hwtickets.tables import LatencyTable, load_table, save_table
from hwtickets.tables.energy import fit_energy, measure_energy, with_energy, without_energy


def networks(space: object) -> tuple[list[OperatorGraph], list[OperatorGraph]]:
    """All networks of three widths a branch, shuffled: 60 to fit and 21 to check."""
    units = list(space.units)  # type: ignore[attr-defined]
    widths = [dict(zip(units, chosen, strict=True)) for chosen in product((16, 24, 32), repeat=len(units))]
    graphs = [space.graph(widths[index]) for index in np.random.default_rng(0).permutation(len(widths))]  # type: ignore[attr-defined]
    return graphs[:60], graphs[60:]


def true_mj(graph: OperatorGraph) -> float:
    """A device that takes 2 mJ for nothing, 0.1 mJ for an operator and 1 mJ for 100,000 MACs."""
    return 2 + sum(0.1 + operator.spec.macs / 1e5 for operator in graph)


def test_the_energies_of_operators_explain_those_of_networks(space: object) -> None:
    seen, unseen = networks(space)
    noise = np.random.default_rng(2).normal(1, 0.01, len(seen))
    fit = fit_energy(seen, [true_mj(graph) * factor for graph, factor in zip(seen, noise, strict=True)])
    predicted = np.array([fit.network_mj(graph) for graph in unseen])
    assert predicted == pytest.approx(np.array([true_mj(graph) for graph in unseen]), rel=0.03)
    assert min(fit.energy_mj.values()) >= 0


def test_a_table_gets_a_column_and_says_how_good_it_is(
    space: object, table: LatencyTable, tmp_path: Path
) -> None:
    seen, unseen = networks(space)
    energies = [[true_mj(graph) for graph in graphs] for graphs in (seen, unseen)]
    found = with_energy(table, seen, energies[0], unseen, energies[1], {"sensor": "INA3221 VDD_IN"})
    stated = found.provenance["energy"]
    assert stated["sensor"] == "INA3221 VDD_IN"
    assert (stated["networks"], stated["checked_networks"]) == (60, 21)
    assert stated["median_error"] < 0.02
    assert all(row.energy_mj is not None for row in found.rows.values())
    save_table(found, tmp_path)
    assert load_table(tmp_path, "onnxruntime", "fp32") == found


def test_rows_that_no_measured_network_has_stay_without_energy(space: object, table: LatencyTable) -> None:
    spec = next(iter(table.rows))
    wider = replace(spec, c_out=spec.c_out * 4)
    table = replace(table, rows={**table.rows, wider: table.rows[spec]})
    seen, _ = networks(space)
    found = with_energy(table, seen, [true_mj(graph) for graph in seen], [], [], {})
    assert found.rows[wider].energy_mj is None
    assert found.provenance["energy"]["median_error"] is None


def test_a_table_without_a_sensor_keeps_the_reason(table: LatencyTable, tmp_path: Path) -> None:
    reason = "INA3221: there is none"
    save_table(without_energy(table, reason), tmp_path)
    loaded = load_table(tmp_path, "onnxruntime", "fp32")
    assert loaded.provenance["energy"] == {"reason": reason}
    assert all(row.energy_mj is None for row in loaded.rows.values())


def per_run(energy_mj: float) -> EnergyPerRun:
    return EnergyPerRun(energy_mj, energy_mj - 1, 400.0, 10, 2.0, 100, "INA3221 VDD_IN")


def test_measured_energies_become_a_column(space: object, table: LatencyTable) -> None:
    seen, unseen = networks(space)
    found = measure_energy(table, seen, unseen, lambda graph: per_run(true_mj(graph)))
    stated = found.provenance["energy"]
    assert (stated["sensor"], stated["idle_mw"], stated["networks"]) == ("INA3221 VDD_IN", 400.0, 60)
    assert stated["median_error"] < 0.02


def test_without_a_sensor_the_reason_is_kept_and_nothing_more_is_asked(
    space: object, table: LatencyTable
) -> None:
    asked: list[OperatorGraph] = []

    def refuse(graph: OperatorGraph) -> EnergyPerRun:
        asked.append(graph)
        raise NoMeterError("cpu", "INA3221: there is none")

    found = measure_energy(table, *networks(space), refuse)
    assert found.provenance["energy"] == {"reason": "INA3221: there is none"}
    assert found.rows == table.rows
    assert len(asked) == 1


def test_a_device_that_is_lost_in_between_is_no_reason_to_go_on(space: object, table: LatencyTable) -> None:
    answers = iter([per_run(10.0)])

    def lose(graph: OperatorGraph) -> EnergyPerRun:
        for answer in answers:
            return answer
        raise DeviceError("the connection was lost")

    with pytest.raises(DeviceError, match="lost"):
        measure_energy(table, *networks(space), lose)


class Board:
    """A board whose files say what it takes: a thread writes them, the higher the larger its network is.

    Args:
        root: Of the tree that stands in for sysfs.
    """

    voltage_mv = 5000

    def __init__(self, root: Path) -> None:
        self._folder = root / "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
        self._folder.mkdir(parents=True)
        self._write("in1_label", "VDD_IN")
        self._write("in1_input", str(self.voltage_mv))
        self._load = threading.Condition()
        self._wanted_ma = self._shown_ma = 400
        self._write("curr1_input", "400")
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def run(self, graph: OperatorGraph) -> None:
        """Computes for a while, at a power of 100 mW for each mJ that the network truly takes."""
        self.set(round(true_mj(graph) * 100 * 1000 / self.voltage_mv))
        time.sleep(0.001)

    def set(self, current_ma: int) -> None:
        """Returns when the files show it."""
        with self._load:
            self._wanted_ma = current_ma
            self._load.notify_all()
            self._load.wait_for(lambda: self._shown_ma == current_ma)

    def stop(self) -> None:
        with self._load:
            self._stopped = True
            self._load.notify_all()
        self._thread.join()

    def _run(self) -> None:
        with self._load:
            while not self._stopped:
                if self._shown_ma != self._wanted_ma:
                    self._write("curr1_input", str(self._wanted_ma))
                    self._shown_ma = self._wanted_ma
                    self._load.notify_all()
                self._load.wait()

    def _write(self, name: str, text: str) -> None:
        (self._folder / "next").write_text(text)
        (self._folder / "next").replace(self._folder / name)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    running = Board(tmp_path / "sys")
    yield running
    running.stop()


def test_from_a_sensor_to_the_energies_of_operators(space: object, board: Board, tmp_path: Path) -> None:
    meter = Ina3221Meter(tmp_path / "sys", interval_s=0.001)

    def measured_mj(graph: OperatorGraph) -> float:
        found = energy_per_run(partial(board.run, graph), meter, seconds=0.02, idle_seconds=0.001)
        # A run lasts as long as this machine lets it; the board's power is 100 mW for each true mJ.
        return found.total_mj * found.runs / found.seconds / 100

    seen, unseen = networks(space)
    fit = fit_energy(seen, [measured_mj(graph) for graph in seen])
    predicted = np.array([fit.network_mj(graph) for graph in unseen])
    assert predicted == pytest.approx(np.array([true_mj(graph) for graph in unseen]), rel=0.05)

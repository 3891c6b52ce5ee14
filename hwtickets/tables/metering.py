"""Energies of a plan's networks, where the device has a sensor."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import fields

from hwtickets.devices.several import SeveralBoards
from hwtickets.power import EnergyPerRun, NoMeterError
from hwtickets.progress import Progress, Stage
from hwtickets.runtimes.bench import Bench, MeteredBench
from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.energy import measure_energy, without_energy
from hwtickets.tables.measure import Journal
from hwtickets.tables.plan import Plan
from hwtickets.tables.skeleton import random_inputs
from hwtickets.tables.skeleton_precision import timed_model
from hwtickets.tables.table import LatencyTable

#: A network takes seconds on a sensor, not milliseconds.
_CHECK_NETWORKS = 10


def with_energies(
    table: LatencyTable, plan: Plan, bench: Bench, journal: Journal, progress: Progress
) -> LatencyTable:
    """The table with a column of energies, or with the reason why it has none.

    Args:
        table: Of the plan's operators.
        plan: Its first networks and those of the calibration tell the energies of operators, some of its
            check how good they are.
        bench: Where to measure; of several boards the first one's sensor is read.
        journal: Holds what is already measured and receives the rest.
        progress: Shows one stage, if there is a sensor.

    Raises:
        DeviceError: The device or its sensor stopped answering.
    """
    if isinstance(bench, SeveralBoards):
        bench = bench.first
    if not isinstance(bench, MeteredBench):
        runtime = bench.fingerprint["runtime"]
        hint = "; add the device with --runtime tensorrt for energies" if "trtexec" in runtime else ""
        return without_energy(table, f"nothing reads sensors while {runtime} runs{hint}")
    try:
        bench.sensor()
    except NoMeterError as error:
        return without_energy(table, error.reason)
    graphs, check = [*plan.pool[: plan.first], *plan.calibration], plan.check[:_CHECK_NETWORKS]
    total = len(graphs) + len(check)
    with progress.stage("energy", total, "network", done=journal.count("energy")) as stage:
        return measure_energy(table, graphs, check, _measure(bench, bench.fingerprint, journal, stage))


def _measure(
    bench: MeteredBench, fingerprint: Mapping[str, str], journal: Journal, stage: Stage
) -> Callable[[OperatorGraph], EnergyPerRun]:
    """Measures networks in the order of its calls, unless the journal knows the next one."""
    numbers = itertools.count()

    def measure(graph: OperatorGraph) -> EnergyPerRun:
        number = next(numbers)
        record = journal.get("energy", number)
        if record is None:
            model = timed_model(graph, fingerprint, seed=number)
            found = bench.energy(model, random_inputs(graph))
            record = journal.put("energy", number, **found.as_dict())
            stage.advance()
        return EnergyPerRun(**{field.name: record[field.name] for field in fields(EnergyPerRun)})

    return measure

"""Energy of operators: fitted on energies of whole networks, as their latencies are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwtickets.power import EnergyPerRun, NoMeterError
from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.fit import fit_operators
from hwtickets.tables.observations import Measured
from hwtickets.tables.table import LatencyTable

#: Key of a table's provenance that says how its energies came about.
ENERGY = "energy"


@dataclass(frozen=True)
class EnergyFit:
    """Energies of operators.

    Attributes:
        offset_mj: Of a network without operators.
        energy_mj: Of each operator.
    """

    offset_mj: float
    energy_mj: dict[OperatorSpec, float]

    def network_mj(self, graph: OperatorGraph) -> float:
        """Energy of a network of operators that were fitted."""
        return self.offset_mj + sum(self.energy_mj[operator.spec] for operator in graph)


def fit_energy(graphs: Sequence[OperatorGraph], energies_mj: Sequence[float]) -> EnergyFit:
    """Finds the energies of operators that explain those of networks.

    Args:
        graphs: Networks, at least one.
        energies_mj: Energy of one inference of each, above 0.
    """
    # The regression is about latencies, but all that it assumes holds for energies: a network costs the sum
    # of its operators, and an operator something for being there, for its MACs and for the bytes it moves.
    networks = [Measured(graph, energy) for graph, energy in zip(graphs, energies_mj, strict=True)]
    fit = fit_operators(networks, {})
    return EnergyFit(float(fit.offset_ms), fit.latency_ms)


def measure_energy(
    table: LatencyTable,
    graphs: Sequence[OperatorGraph],
    check: Sequence[OperatorGraph],
    measure: Callable[[OperatorGraph], EnergyPerRun],
) -> LatencyTable:
    """The table with energies where a sensor answers, else with the reason why not.

    Args:
        table: Rows of the operators.
        graphs: Networks that the energies are fitted on.
        check: Other networks, for the stated error.
        measure: Energy of one inference of a network.

    Raises:
        DeviceError: The device or its sensor stopped answering in between.
    """
    try:
        first = measure(graphs[0])
    except NoMeterError as error:
        return without_energy(table, error.reason)
    energies_mj = [first.total_mj, *(measure(graph).total_mj for graph in graphs[1:])]
    check_mj = [measure(graph).total_mj for graph in check]
    facts = {"sensor": first.sensor, "idle_mw": first.idle_mw, "seconds_a_network": round(first.seconds, 1)}
    return with_energy(table, graphs, energies_mj, check, check_mj, facts)


def with_energy(
    table: LatencyTable,
    graphs: Sequence[OperatorGraph],
    energies_mj: Sequence[float],
    check: Sequence[OperatorGraph],
    check_mj: Sequence[float],
    facts: Mapping[str, Any],
) -> LatencyTable:
    """The table with a column of energies.

    Args:
        table: Rows of the operators.
        graphs: Networks that the energies are fitted on.
        energies_mj: Energy of one inference of each.
        check: Other networks, for the stated error.
        check_mj: Energy of one inference of each.
        facts: How it was measured: sensor, seconds, idle power.
    """
    fit = fit_energy(graphs, energies_mj)
    rows = {spec: replace(row, energy_mj=fit.energy_mj.get(spec)) for spec, row in table.rows.items()}
    known = [
        (fit.network_mj(graph), measured)
        for graph, measured in zip(check, check_mj, strict=True)
        if all(operator.spec in fit.energy_mj for operator in graph)
    ]
    errors = [abs(predicted - measured) / measured for predicted, measured in known]
    stated = {
        **facts,
        "offset_mj": fit.offset_mj,
        "networks": len(graphs),
        "checked_networks": len(known),
        "median_error": float(np.median(errors)) if errors else None,
    }
    return replace(table, rows=rows, provenance={**table.provenance, ENERGY: stated})


def without_energy(table: LatencyTable, reason: str) -> LatencyTable:
    """The table with the reason why it holds no energies, e.g. that of `NoMeterError`."""
    return replace(table, provenance={**table.provenance, ENERGY: {"reason": reason}})

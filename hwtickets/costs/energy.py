"""Energy of a network on a device, predicted from the energy column of a table."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from hwtickets.costs.additive import AdditiveCost
from hwtickets.errors import DeviceError
from hwtickets.space.operators import OperatorSpec

if TYPE_CHECKING:
    from hwtickets.tables.table import LatencyTable


def energy_cost(table: LatencyTable) -> AdditiveCost:
    """Energy of one inference in mJ as a sum over operators; what the device takes when idle is in it.

    An operator without an energy of its own costs its predicted latency times the power of its group, the
    median over the group's rows: power differs far less between two convolutions than their latencies do.

    Raises:
        DeviceError: The table knows no energies; the text says why.
    """
    from hwtickets.tables.families import group

    require_energy(table)
    energies_mj = {spec: row.energy_mj for spec, row in table.rows.items() if row.energy_mj is not None}
    powers_w, everything_w = _powers(table, energies_mj)

    def of(spec: OperatorSpec) -> float:
        energy_mj = energies_mj.get(spec)
        if energy_mj is not None:
            return energy_mj
        return table.lookup(spec).ms * powers_w.get(group(spec), everything_w)

    return AdditiveCost("energy", "mJ", float(_facts(table).get("offset_mj", 0.0)), of)


def require_energy(table: LatencyTable) -> None:
    """Checks that a table knows energies.

    Raises:
        DeviceError: It does not; the text says why.
    """
    reason = why_no_energy(table)
    if reason is not None:
        raise DeviceError(f"energy is not available on {table.device}: {reason}")


def why_no_energy(table: LatencyTable) -> str | None:
    """Why a table knows no energies; None if it does."""
    if any(row.energy_mj is not None for row in table.rows.values()):
        return None
    return str(_facts(table).get("reason", "its latency table was made without a power sensor"))


def _powers(table: LatencyTable, energies_mj: dict[OperatorSpec, float]) -> tuple[dict[str, float], float]:
    """Median power in W (mJ a ms) by group of operators, and of all."""
    from hwtickets.tables.families import group

    by_group: dict[str, list[float]] = defaultdict(list)
    for spec, energy_mj in energies_mj.items():
        latency_ms = table.rows[spec].latency_ms
        if latency_ms > 0:
            by_group[group(spec)].append(energy_mj / latency_ms)
    everything = [power for powers in by_group.values() for power in powers]
    return {name: median(powers) for name, powers in by_group.items()}, median(everything or [0.0])


def _facts(table: LatencyTable) -> dict[str, float | str]:
    facts = table.provenance.get("energy")
    return facts if isinstance(facts, dict) else {}

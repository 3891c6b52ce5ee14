"""What a network costs: MACs, parameters, size, latency and energy."""

from __future__ import annotations

from hwtickets.costs.additive import AdditiveCost, macs_cost, params_cost, size_cost
from hwtickets.costs.energy import energy_cost, require_energy, why_no_energy
from hwtickets.costs.latency import LatencyCost
from hwtickets.costs.macs import count_macs

__all__ = [
    "AdditiveCost",
    "LatencyCost",
    "count_macs",
    "energy_cost",
    "macs_cost",
    "params_cost",
    "require_energy",
    "size_cost",
    "why_no_energy",
]

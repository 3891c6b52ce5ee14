"""What a network costs: MACs, parameters, size and latency."""

from __future__ import annotations

from hwtickets.costs.additive import AdditiveCost, macs_cost, params_cost, size_cost
from hwtickets.costs.latency import LatencyCost
from hwtickets.costs.macs import count_macs

__all__ = ["AdditiveCost", "LatencyCost", "count_macs", "macs_cost", "params_cost", "size_cost"]

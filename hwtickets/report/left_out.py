"""What a search could not cut, and what a prediction could not look up."""

from __future__ import annotations

from collections.abc import Sequence

from hwtickets.report.networks import Network
from hwtickets.report.schema import Run
from hwtickets.report.tables import Cell, Table

WHOLE = "What stayed whole"
WHOLE_HINT = "Layers that were not cut, and why."
ESTIMATED = "Operators without a row"
ESTIMATED_HINT = "The latency table has no measurement of them nor around them; what they cost is estimated."


def whole_table(run: Run) -> Table:
    """Layers that were not cut."""
    rows = [(Cell(layer), Cell(reason)) for layer, reason in run.unprunable.items()]
    return Table(("Layer", "Why"), rows)


def estimated_table(networks: Sequence[Network]) -> Table:
    """Operators of tickets that the table has neither a row of nor rows around."""
    rows = [
        (Cell(network.name, network=network), Cell(operator))
        for network in networks
        for operator in (network.ticket.estimated if network.ticket else ())
    ]
    return Table(("Network", "Operator"), rows)

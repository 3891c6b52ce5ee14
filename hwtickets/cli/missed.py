"""What a verb says at its end where a budget was missed, or where no device was asked, only a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets.errors import BudgetError, HwticketsError, NotMeasuredError, NumericsError


def not_kept(ticket: Mapping[str, Any], measured: bool, folder: Path | str) -> HwticketsError:
    """The error of a ticket that is there, but not as it was asked for.

    Args:
        ticket: Its entry in a report.
        measured: Whether its latency was measured.
        folder: Where it is.
    """
    if ticket.get("drop", 0.0) > ticket.get("max_drop", math.inf):
        return NumericsError(
            f"the precisions cost {ticket['drop']:.3g} points, {ticket['max_drop']:g} are allowed; allow more"
            f" (--max-drop) or a longer latency; the nearest ticket is in {folder}"
        )
    known = "measured" if measured else "predicted"
    return BudgetError(f"no ticket kept the budget as {known}; the nearest one is in {folder}")


def not_measured(table: str, again: str, budgets: Mapping[str, str]) -> NotMeasuredError:
    """The note that a predicted result ends with: it is there, but nobody has measured it.

    Args:
        table: Name of the table that it is predicted from.
        again: The verb that measures it on a board, with what stands before its options.
        budgets: Metric to limit.
    """
    limits = "".join(f" --{metric} {text}" for metric, text in budgets.items())
    return NotMeasuredError(
        f"latencies are predicted from table {table}, not measured; to measure them on a board: hwtickets"
        f" devices add NAME --ssh user@host; {again} --device NAME{limits}"
    )

"""What a verb says at its end where no device was asked, only a table."""

from __future__ import annotations

from collections.abc import Mapping

from hwtickets.errors import DeviceError


def not_measured(table: str, again: str, budgets: Mapping[str, str]) -> DeviceError:
    """The error that a predicted result ends with: it is there, but nobody has measured it.

    Args:
        table: Name of the table that it is predicted from.
        again: The verb that measures it on a board, with what stands before its options.
        budgets: Metric to limit.
    """
    limits = "".join(f" --{metric} {text}" for metric, text in budgets.items())
    return DeviceError(
        f"latencies are predicted from table {table}, not measured; to measure them on a board: hwtickets"
        f" devices add NAME --ssh user@host; {again} --device NAME{limits}"
    )

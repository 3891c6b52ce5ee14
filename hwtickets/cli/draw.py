"""`hwtickets draw`: another ticket from a run that is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.budgets import parse_budget
from hwtickets.cli import options
from hwtickets.cli.predicted import not_measured
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import BudgetError, UsageError

NAME = "draw"
EXAMPLE = "hwtickets draw runs/demo --latency 25%"


def run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Output folder of a search.")],
    latency: options.Latency = None,
    macs: options.Macs = None,
    size: options.Size = None,
    params: options.Params = None,
    energy: options.Energy = None,
    device: Annotated[str | None, typer.Option(help="Another device than that of the run.")] = None,
    precision: options.Precision = None,
    table: options.Table = None,
    allow_other_fingerprint: options.OtherFingerprint = False,
    finetune: Annotated[
        bool, typer.Option(help="Train the drawn ticket as long as the search finetuned its own.")
    ] = True,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Draw another ticket from a trained run: no search, at most a finetuning."""
    from hwtickets.progress import Progress

    given = {"latency": latency, "macs": macs, "size": size, "params": params, "energy": energy}
    budgets = {metric: text for metric, text in given.items() if text is not None}
    if not budgets:
        raise UsageError("no budget is given; add one, e.g. --latency 8ms or --latency 25%")
    for metric, text in budgets.items():
        parse_budget(metric, text)
    with interruptible():
        from hwtickets import api

        ticket = api.draw(
            run, budgets, finetune, Progress(), device, precision, table, allow_other_fingerprint
        )
    print_json(ticket) if as_json else print_fields(
        {key: value for key, value in ticket.items() if key not in ("blocks", "units")}
    )
    if not ticket["kept"]:
        known = "measured" if ticket["measured"] else "predicted"
        raise BudgetError(f"no ticket kept the budget as {known}; the nearest one is in {ticket['path']}")
    if not ticket["measured"]:
        raise not_measured(ticket["table"], f"hwtickets draw {run}", budgets)

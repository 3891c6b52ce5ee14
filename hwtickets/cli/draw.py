"""`hwtickets draw`: other tickets from a run that is trained."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hwtickets.budgets import parse_budget
from hwtickets.cli import options
from hwtickets.cli.missed import not_kept, not_measured
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
    device: Annotated[
        str | None, typer.Option(help="Another device than that of the run, or several: a,b.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Precision of the deployed network, or mixed: that of every part is drawn with its widths"
            " (default: the run's)."
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points of the score that the precisions of mixed may cost (default: the run's)."),
    ] = None,
    table: options.Table = None,
    allow_other_fingerprint: options.OtherFingerprint = False,
    finetune: Annotated[
        bool, typer.Option(help="Apply the recipe of the search to the drawn ticket, as long as there.")
    ] = True,
    finetune_epochs: Annotated[
        float | None, typer.Option(help="Passes over the training data for it, instead of as long as there.")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Draw another ticket from a trained run, or one for each device and budget (25%,40%): no search."""
    from hwtickets.progress import Progress

    given = {"latency": latency, "macs": macs, "size": size, "params": params, "energy": energy}
    budgets = _budgets({metric: text for metric, text in given.items() if text is not None})
    epochs = _epochs(finetune, finetune_epochs)
    devices = [name for name in (device or "").split(",") if name]
    with interruptible():
        from hwtickets import api

        if len(devices) <= 1 and len(budgets) == 1:
            tickets = [
                api.draw(
                    run,
                    budgets[0],
                    epochs,
                    Progress(),
                    device,
                    precision,
                    table,
                    allow_other_fingerprint,
                    max_drop,
                )
            ]
        else:
            if table is not None:
                raise UsageError("a table belongs to one device and one draw; leave --table out")
            tickets = api.draw_each(
                run,
                devices or None,
                budgets,
                epochs,
                Progress(),
                precision,
                allow_other_fingerprint,
                max_drop,
            )
    _show(tickets, as_json)
    _judge(tickets, run, budgets)


def _budgets(given: Mapping[str, str]) -> list[dict[str, str]]:
    """All combinations of the budgets that are separated by commas."""
    if not given:
        raise UsageError("no budget is given; add one, e.g. --latency 8ms or --latency 25%")
    texts = {metric: text.split(",") for metric, text in given.items()}
    for metric, text in ((metric, text) for metric, several in texts.items() for text in several):
        parse_budget(metric, text)
    return [dict(zip(texts, chosen, strict=True)) for chosen in itertools.product(*texts.values())]


def _epochs(finetune: bool, epochs: float | None) -> float | None:
    if finetune:
        return epochs
    if epochs is not None:
        raise UsageError("--no-finetune and --finetune-epochs exclude each other; leave one out")
    return 0.0


def _show(tickets: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(tickets[0] if len(tickets) == 1 else {"tickets": tickets})
        return
    for number, ticket in enumerate(tickets):
        if number:
            print()
        print_fields({key: value for key, value in ticket.items() if key not in ("blocks", "units")})


def _judge(tickets: Sequence[dict[str, Any]], run: Path, budgets: Sequence[Mapping[str, str]]) -> None:
    """Ends with an error if a budget was missed, precisions lose too much, or nobody has measured it."""
    for ticket in (ticket for ticket in tickets if not ticket["kept"]):
        if "error" in ticket:
            raise BudgetError(f"{ticket['device']}, {ticket['budget_text']}: {ticket['error']}")
        raise not_kept(ticket, ticket["measured"], ticket["path"])
    for ticket in (ticket for ticket in tickets if not ticket["measured"]):
        raise not_measured(ticket["table"], f"hwtickets draw {run}", budgets[0])

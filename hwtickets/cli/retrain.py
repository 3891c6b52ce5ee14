"""`hwtickets retrain`: a recipe for a drawn ticket."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible

NAME = "retrain"
EXAMPLE = "hwtickets retrain runs/demo/ticket --recipe finetune --epochs 2"


def run(
    ticket: Annotated[Path, typer.Argument(metavar="TICKET", help="Folder of a ticket.")],
    recipe: Annotated[
        str, typer.Option(help="How it is trained: none, finetune, rewind, scratch or distill.")
    ] = "finetune",
    epochs: Annotated[
        float | None,
        typer.Option(
            help="Passes over the training data (default: 2; for rewind and scratch, the search's)."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="TICKET", help="Ticket that teaches (default for distill: the dense network)."),
    ] = None,
    rewind_to: Annotated[
        str, typer.Option(help="What rewind goes back to: init or early, as the search kept them.")
    ] = "early",
    run: Annotated[
        Path | None, typer.Option(help="Run that the ticket was drawn from (default: the one around it).")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the new ticket goes (default: beside it).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Train a drawn ticket by a recipe; the ticket itself stays, a new one is written."""
    from hwtickets.progress import Progress

    with interruptible():
        from hwtickets import api

        result = api.retrain(ticket, recipe, epochs, output_dir, Progress(), teacher, run, rewind_to)
    known = {key: value for key, value in result.items() if value is not None}
    print_json(result) if as_json else print_fields(known)

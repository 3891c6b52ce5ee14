"""`hwtickets retrain`: train a drawn ticket further."""

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
    recipe: Annotated[str, typer.Option(help="How it is trained: finetune.")] = "finetune",
    epochs: Annotated[float, typer.Option(help="Passes over the training data.")] = 2.0,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the new ticket goes (default: beside it).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Train a drawn ticket further; the ticket itself stays, a new one is written."""
    from hwtickets.progress import Progress

    with interruptible():
        from hwtickets import api

        result = api.retrain(ticket, recipe, epochs, output_dir, Progress())
    print_json(result) if as_json else print_fields(result)

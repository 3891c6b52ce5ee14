"""`hwtickets transfer`: a ticket's trunk for another task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible

NAME = "transfer"
EXAMPLE = "hwtickets transfer runs/demo/ticket --task classification --data folder:photos"


def run(
    ticket: Annotated[Path, typer.Argument(metavar="TICKET", help="Folder of a ticket.")],
    task: Annotated[str, typer.Option(help="What is learnt now.")] = "classification",
    data: Annotated[str | None, typer.Option(help="The data of that task, as for a search.")] = None,
    freeze: Annotated[
        str,
        typer.Option(help="What stays: architecture (masks, too), or trunk (its weights, too)."),
    ] = "architecture",
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training data (default: those of the search).")
    ] = None,
    resolution: options.Resolution = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step (default: as in the search).")] = None,
    seed: options.Seed = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="sgd, rmsprop, adam or adamw (default: what suits the task, else as in the search)."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak of the learning rate (default: what suits the task, else as in the search)."),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="cosine, exponential, one-cycle or multi-step (default: what suits the task, else as in the"
            " search)."
        ),
    ] = None,
    milestones: Annotated[
        list[float] | None,
        typer.Option(
            metavar="EPOCH", help="Epoch after which multi-step divides the rate by ten; repeat it for more."
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="L2 penalty of the weights (default: as in the search).")
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(help="Share of the label spread over all classes (default: as in the search)."),
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the new ticket goes (default: beside it).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Put a new head on a ticket and train it for another task; widths and masks of the trunk stay."""
    from hwtickets.errors import UsageError
    from hwtickets.progress import Progress

    if data is None:
        raise UsageError("no data is given; add it, e.g. --data folder:photos")
    with interruptible():
        from hwtickets import api

        result = api.transfer(
            ticket,
            task,
            data,
            freeze,
            epochs,
            output_dir,
            Progress(),
            resolution,
            batch_size,
            seed,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            milestones=milestones or None,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
        )
    print_json(result) if as_json else print_fields(result)

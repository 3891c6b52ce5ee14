"""`hwtickets verify`: whether the deployed network computes what the trained one computes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible

NAME = "verify"
EXAMPLE = "hwtickets verify runs/demo/bundle --device cpu"


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")],
    device: options.Device = "cpu",
    images: Annotated[int, typer.Option(min=1, help="How many validation images are compared.")] = 500,
    ticket: Annotated[
        Path | None,
        typer.Option(help="Its ticket, whose validation data are taken in place of the bundle's samples."),
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Gets verify.json (default: not written).")] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Compare the deployed network with the trained one on real images; exit code 5 if they differ."""
    with interruptible():
        from hwtickets import api

        result = api.verify(bundle, device, images, ticket, output_dir)
    print_json(result) if as_json else print_fields(result)

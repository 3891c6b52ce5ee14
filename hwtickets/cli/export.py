"""`hwtickets export`: a ticket as a bundle that travels to the device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_json
from hwtickets.cli.sessions import interruptible

NAME = "export"
EXAMPLE = "hwtickets export runs/demo/ticket --format onnx"


def run(
    ticket: Annotated[Path, typer.Argument(metavar="TICKET", help="Folder of a ticket.")],
    format: Annotated[str, typer.Option(help="Format of the network: onnx.")] = "onnx",
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the bundle goes (default: beside it).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Write a ticket as a bundle: the network, its description and a runner without torch."""
    with interruptible():
        from hwtickets import api

        bundle = api.export(ticket, format, output_dir)
    print_json({"bundle": bundle}) if as_json else print(f"bundle: {bundle}")

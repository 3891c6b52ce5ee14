"""`hwtickets export`: a ticket as a bundle that travels to the device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_json
from hwtickets.cli.sessions import interruptible

NAME = "export"
EXAMPLE = "hwtickets export runs/demo/ticket --precision int8"


def run(
    ticket: Annotated[Path, typer.Argument(metavar="TICKET", help="Folder of a ticket.")],
    format: Annotated[str, typer.Option(help="Format of the network: onnx.")] = "onnx",
    precision: Annotated[str, typer.Option(help="Of the network: fp32, fp16 or int8.")] = "fp32",
    device: options.Device = "cpu",
    max_drop: Annotated[
        float, typer.Option(help="Points of the score that int8 may cost; what costs more stays in fp32.")
    ] = 0.5,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the bundle goes (default: beside it).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Write a ticket as a bundle: the network, its description and a runner without torch."""
    from hwtickets.progress import Progress

    with interruptible():
        from hwtickets import api

        bundle = api.export(ticket, format, output_dir, Progress(), precision, device, max_drop)
    print_json({"bundle": bundle}) if as_json else print(f"bundle: {bundle}")

"""`hwtickets benchmark`: how fast a bundle is on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible

NAME = "benchmark"
EXAMPLE = "hwtickets benchmark runs/demo/bundle --device cpu --runs 500"


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")],
    device: options.Device = "cpu",
    runs: Annotated[int, typer.Option(min=1, help="How many runs are timed.")] = 500,
    dense: Annotated[
        Path | None, typer.Option(help="Bundle of the dense network, timed in turns for the ratio.")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Time a bundle on a device: p10, p50, p90, p99 and the time of every block."""
    with interruptible():
        from hwtickets import api

        result = api.benchmark(bundle, device, runs, dense)
    print_json(result) if as_json else print_fields(result)

"""`hwtickets benchmark`: what a bundle takes on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import UsageError

NAME = "benchmark"
EXAMPLE = "hwtickets benchmark runs/demo/bundle --device cpu --runs 500"


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")],
    device: options.Device = "cpu",
    runs: Annotated[int, typer.Option(min=1, help="How many runs are timed.")] = 500,
    dense: Annotated[
        Path | None, typer.Option(help="Bundle of the dense network, timed in turns for the ratio.")
    ] = None,
    batches: Annotated[
        str | None, typer.Option(help="Images at once whose throughput is measured too, e.g. 4,16.")
    ] = None,
    builds: Annotated[int, typer.Option(min=1, help="How often the network is built and timed.")] = 1,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Gets layers.html, layers.csv and times.json (default: not written)."),
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Measure a bundle on a device: latency, throughput, first run, energy, and where the time goes."""
    sizes = _batches(batches) if batches else []
    with interruptible():
        from hwtickets import api

        result = api.benchmark(bundle, device, runs, dense, sizes, builds, output_dir)
    print_json(result) if as_json else print_fields(result)


def _batches(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"'--batches {text}' is no list of positive numbers; write it as --batches 4,16")
    return [int(part) for part in parts]

"""`hwtickets table`: build, check and describe the latency table of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import UsageError

app = typer.Typer(
    help="Build, check and describe the latency table of a device.",
    epilog="Example: hwtickets table build --device cpu --supernet mobile",
)

_Input = Annotated[
    str, typer.Option("--input", metavar="CxHxW", help="Channels, height and width (pixels) of one input.")
]
_Classes = Annotated[int, typer.Option(min=1, help="Outputs of the network.")]


@app.command("build", epilog="Example: hwtickets table build --device cpu --supernet mobile --input 1x28x28")
def build(
    device: options.Device = "cpu",
    supernet: options.Supernet = None,
    sizes: options.Sizes = None,
    input_shape: _Input = "1x28x28",
    classes: _Classes = 10,
    precision: options.Precision = "fp32",
    output: Annotated[
        Path | None, typer.Option(help="Folder of the table (default: that of this device and user).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with measurements that were interrupted.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the networks that are measured.")] = 0,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Measure the operators of a supernet's subnets on a device and write them as a latency table."""
    from hwtickets.progress import Progress

    space = options.supernet_config(supernet, sizes)
    shape = _shape(input_shape)
    with interruptible("run the same command with --resume to go on"):
        from hwtickets import api

        table = api.build_table(device, space, shape, classes, precision, output, resume, seed, Progress())
    result = {
        "device": table.device,
        "runtime": table.runtime,
        "precision": table.precision,
        "rows": len(table.rows),
        "error": table.error,
    }
    print_json(result) if as_json else print_fields(result)


@app.command("check", epilog="Example: hwtickets table check --device cpu --samples 20")
def check(
    device: options.Device = "cpu",
    supernet: options.Supernet = None,
    sizes: options.Sizes = None,
    input_shape: _Input = "1x28x28",
    classes: _Classes = 10,
    precision: options.Precision = "fp32",
    samples: Annotated[int, typer.Option(min=1, help="How many rows are measured again.")] = 20,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Measure some rows of a table again and say how far they have drifted."""
    from hwtickets.progress import Progress

    space = options.supernet_config(supernet, sizes)
    shape = _shape(input_shape)
    with interruptible():
        from hwtickets import api

        result = api.check_table(device, space, shape, classes, precision, samples, Progress())
    print_json(result) if as_json else print_fields(result)


@app.command("info", epilog="Example: hwtickets table info --device cpu")
def info(
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Describe the table that a search on this device would use: where it is, its rows, its error."""
    with interruptible():
        from hwtickets import api

        result = api.table_info(device, precision)
    print_json(result) if as_json else print_fields(result)


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"'--input {text}' is not CxHxW; write it as --input 3x224x224")
    channels, height, width = map(int, parts)
    return channels, height, width

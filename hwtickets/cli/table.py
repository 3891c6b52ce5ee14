"""`hwtickets table`: build, check, describe and import the latency table of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwtickets.cli import options, table_import
from hwtickets.cli.printing import print_fields, print_json, print_note
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import UsageError

app = typer.Typer(
    help="Build, check, describe and import the latency table of a device.",
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
    precision: options.Precision = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the table (default: that of this device and user).")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew instead of going on with an interrupted build.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the networks that are measured.")] = 0,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Measure the operators of a supernet's subnets on a device and write them as a latency table."""
    from hwtickets.progress import Progress

    space = options.supernet_config(supernet, sizes)
    shape = _shape(input_shape)
    with interruptible("run the same command again to go on"):
        from hwtickets import api

        table = api.build_table(device, space, shape, classes, precision, output, fresh, seed, Progress())
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
    precision: options.Precision = None,
    samples: Annotated[int, typer.Option(min=1, help="How many networks are measured.")] = 20,
    allow_other_fingerprint: options.OtherFingerprint = False,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Measure new networks on the device and say how far its table is off them."""
    from hwtickets.progress import Progress

    space = options.supernet_config(supernet, sizes)
    shape = _shape(input_shape)
    with interruptible():
        from hwtickets import api

        result = api.check_table(
            device, space, shape, classes, precision, samples, Progress(), allow_other_fingerprint
        )
    print_json(result) if as_json else print_fields(result)


@app.command("info", epilog="Example: hwtickets table info jetson")
def info(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Name of the device.")] = None,
    device: options.Device = "cpu",
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Describe every table of a device: where it is, its error, and where its numbers come from."""
    with interruptible():
        from hwtickets import device_verbs
        from hwtickets.devices import get_device, name_note

        asked = name or device
        note = name_note(asked, get_device(asked))
        result = device_verbs.table_info(asked)
    print_note(note)
    print_json(result) if as_json else _describe(result)


def _describe(result: dict[str, Any]) -> None:
    if not result["tables"]:
        print(f"no table of {result['device']} is here")
    for index, entry in enumerate(result["tables"]):
        print("\n" if index else "", end="")
        print_fields(entry)


app.command(table_import.NAME, epilog=f"Example: {table_import.EXAMPLE}")(table_import.run)


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"'--input {text}' is not CxHxW; write it as --input 3x224x224")
    channels, height, width = map(int, parts)
    return channels, height, width

"""`hwtickets table import`: a latency table from measurements that others took."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_fields, print_json
from hwtickets.cli.sessions import interruptible

NAME = "import"
EXAMPLE = "hwtickets table import 224_lookup_table.yaml --device note10 --runtime tflite --precision fp32"


def run(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="One table, several of one device, or the two files of an engine."
        ),
    ],
    device: Annotated[str, typer.Option(help="Name of the device that was measured.")],
    runtime: Annotated[str, typer.Option(help="Runtime that it was measured with.")],
    precision: Annotated[str, typer.Option(help="Precision that it was measured in.")],
    format: Annotated[
        str | None,
        typer.Option(help="hw-nas-bench, once-for-all, tvm or tensorrt (default: found out from the file)."),
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Which device, where a file holds several (part of its name).")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once; other rows are left out.")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the table (default: among this user's tables).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Make a latency table of HW-NAS-Bench, once-for-all, TVM or TensorRT measurements."""
    with interruptible():
        from hwtickets import device_verbs

        result = device_verbs.import_table(files, device, runtime, precision, format, select, batch, output)
    print_json(result) if as_json else print_fields(result)

"""`hwtickets report`: one page about one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_json
from hwtickets.cli.sessions import interruptible

NAME = "report"
EXAMPLE = "hwtickets report runs/demo runs/demo-2 --output-dir runs/both"


def run(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Output folders of searches.")],
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the page goes (default: the first run).")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write every table as a CSV file too.")] = False,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Write one page about one or several runs: latency against accuracy, measured."""
    with interruptible():
        from hwtickets import api

        page = api.report(runs, output_dir, csv)
    if as_json:
        print_json({"report_html": page})
        return
    print(f"report: {page}")
    if csv:
        print(f"tables: {page.parent}/*.csv")

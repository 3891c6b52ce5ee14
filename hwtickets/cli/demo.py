"""`hwtickets demo`: the main job on the embedded data, on this CPU."""

from __future__ import annotations

from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.search import search
from hwtickets.run_names import run_folder

NAME = "demo"
EXAMPLE = "hwtickets demo --output-dir runs/demo"


def run(
    output_dir: options.OutputDir = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the demo that was interrupted.")
    ] = False,
    seed: options.Seed = None,
    as_json: options.Json = False,
) -> None:
    """Run the main job on the embedded data, on this CPU: a search with --latency 40%."""
    from hwtickets.config_files import load_config, named_config

    config = load_config(named_config(NAME), {} if seed is None else {"seed": seed})
    search(config, output_dir or run_folder(NAME, resume), resume, dry_run=False, as_json=as_json)

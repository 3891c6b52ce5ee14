"""`hwtickets search`: train once, draw the ticket that keeps the budget, export it and measure it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwtickets.cli import options, profile
from hwtickets.cli.missed import not_kept, not_measured
from hwtickets.cli.printing import print_json
from hwtickets.cli.sessions import interruptible, resume_command, this_command
from hwtickets.run_names import run_folder

if TYPE_CHECKING:
    from hwtickets.config import SearchConfig

NAME = "search"
EXAMPLE = "hwtickets search --device cpu --latency 40% --data fashion-mnist-small --output-dir runs/first"


def run(
    config: options.SearchFile = None,
    device: options.OptionalDevice = None,
    latency: options.Latency = None,
    macs: options.Macs = None,
    size: options.Size = None,
    params: options.Params = None,
    energy: options.Energy = None,
    task: options.Task = None,
    data: options.Data = None,
    resolution: options.Resolution = None,
    supernet: options.Supernet = None,
    module: options.Module = None,
    keep: options.Keep = None,
    checkpoint: options.Checkpoint = None,
    sizes: options.Sizes = None,
    precision: options.DrawnPrecision = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points of the score that the precisions of mixed may cost (default: 0.5)."),
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            help="The way to the ticket: two-in-one, post-training, search-then-prune, prune-only,"
            " search-only, uniform, random, random-ticket or shuffled-mask (default: two-in-one)."
        ),
    ] = None,
    table: options.Table = None,
    allow_other_fingerprint: options.OtherFingerprint = False,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training data (default: 8).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step (default: 64).")] = None,
    seed: options.Seed = None,
    price: Annotated[
        str | None, typer.Option(help="What training is priced by: latency or macs (default: latency).")
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option(help="Share of the weights masked besides (default: 0).")
    ] = None,
    reactivation: Annotated[
        str | None,
        typer.Option(
            help="When masked weights may come back: after-prune, at-shrink or none (default: after-prune)."
        ),
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Another price to search with, for comparison: macs.")
    ] = None,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Do not train the dense network for comparison.")
    ] = False,
    output_dir: options.OutputDir = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the output folder.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what would be done, train nothing.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Train once, draw the ticket that keeps the budget, export it and measure it on the device."""
    resolved = options.search_config(
        config,
        {"latency": latency, "macs": macs, "size": size, "params": params, "energy": energy},
        supernet,
        sizes,
        module,
        keep,
        checkpoint=None if checkpoint is None else str(checkpoint),
        device=device,
        task=task,
        data=data,
        resolution=resolution,
        precision=precision,
        max_drop=max_drop,
        pipeline=pipeline,
        table=None if table is None else str(table),
        allow_other_fingerprint=allow_other_fingerprint or None,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        price=price,
        sparsity=sparsity,
        reactivation=reactivation,
        compare=compare or None,
        baseline=False if no_baseline else None,
    )
    folder = output_dir or run_folder(config.stem if config else NAME, resume)
    search(resolved, folder, resume, dry_run, as_json)


def search(config: SearchConfig, folder: Path, resume: bool, dry_run: bool, as_json: bool) -> None:
    """Searches and prints the verdict and the path of the report.

    Raises:
        BudgetError: The ticket misses a budget; the nearest one is there all the same. Dry, none can keep it.
        NumericsError: Its precisions cost more of the score than they may; it is there all the same.
        NotMeasuredError: Latencies are predicted, as there is no device; all the rest is there.
    """
    from hwtickets.progress import Progress

    with interruptible(resume_command(folder)):
        from hwtickets import api

        result = api.search(
            config=config,
            output_dir=folder,
            resume=resume,
            dry_run=dry_run,
            progress=Progress(api.search_stages(config)),
            command=this_command(sys.argv[1:]),
        )
    if as_json:
        print_json(result)
    elif dry_run:
        profile.show(result)
    else:
        _show(result, folder)
    if dry_run:
        profile.check(result["budgets"])
    if not result.get("kept", True):
        raise not_kept(result["tickets"][0], result["measured"], folder)
    if not result["measured"]:
        table = result["table"] if dry_run else result["table"]["name"]
        raise not_measured(table, f"hwtickets draw {folder}", config.budgets)


def _show(result: dict[str, Any], folder: Path) -> None:
    from hwtickets.report.networks import list_networks
    from hwtickets.report.schema import read_report
    from hwtickets.report.wording import notes_of, verdict

    added = ("kept", "measured", "report_html")
    document = read_report({key: value for key, value in result.items() if key not in added})
    print(verdict(document.runs[0], list_networks(document)))
    for note in notes_of(document):
        print(note)
    print(f"bundle: {folder / 'bundle'}")
    print(f"report: {result['report_html']}")

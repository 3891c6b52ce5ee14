"""The report as Markdown: the same figures as tables, beside the PNG."""

from __future__ import annotations

from collections.abc import Sequence

from hwtickets.report.deployed import deployed_table, list_deployed
from hwtickets.report.left_out import ESTIMATED, WHOLE, estimated_table, whole_table
from hwtickets.report.networks import Network, list_networks, of_run
from hwtickets.report.schema import Document, Run
from hwtickets.report.tables import (
    Cell,
    Table,
    accuracy_of_table,
    blocks_table,
    budgets_table,
    device_table,
    draws_table,
    facts_table,
    kept_table,
    networks_table,
    stages_table,
    verify_table,
)
from hwtickets.report.wording import networks_hint, notes_of, predicted, verdicts_of


def render_markdown(document: Document, picture: str) -> str:
    """The whole report; `picture` is the PNG's name beside the file."""
    networks = list_networks(document)
    parts = [f"# {_inline(document.title)}"]
    parts += [f"**{_inline(line)}**" for line in verdicts_of(document, networks)]
    parts += [_inline(note) for note in notes_of(document)]
    parts += [f"![Latency against accuracy]({picture})"]
    parts += [
        _section("Networks", networks_table(networks)),
        networks_hint(networks),
        _section("Deployed: devices, runtimes, precisions", deployed_table(list_deployed(document))),
        _section("Every draw", draws_table(networks)),
    ]
    several = len(document.runs) > 1
    for run in document.runs:
        parts += [f"# {_inline(run.title)}"] if several else []
        parts += _run_parts(run, of_run(networks, run))
    return "\n\n".join(part for part in parts if part) + "\n"


def _run_parts(run: Run, networks: Sequence[Network]) -> list[str]:
    device = run.device
    kept = [
        _section(f"What was kept: {network.name}", kept_table(network.ticket))
        for network in networks
        if network.ticket
    ]
    return [
        _section("Budgets", budgets_table(run)),
        _section(
            f"Where the time goes{'' if device.measured else f', {predicted(run)}'}", blocks_table(networks)
        ),
        *kept,
        _section(WHOLE, whole_table(run)),
        _section(ESTIMATED, estimated_table(networks)),
        _section("Exported network against PyTorch", verify_table(networks)),
        _section("Stages and time", stages_table(run)),
        _section("Prediction", accuracy_of_table(run)),
        _section("Versions", facts_table("Package", run.versions)),
        _section("Device", device_table(f"{device.name} ({device.runtime}, {device.precision})", run)),
        _repeat(run),
    ]


def _repeat(run: Run) -> str:
    if not run.command:
        return ""
    seed = "" if run.seed is None else f"Seed {run.seed}.\n\n"
    return f"## How to repeat it\n\n{seed}```\n{run.command}\n```"


def _section(title: str, table: Table) -> str:
    if not table.rows:
        return ""
    align = ["---", *["---:"] * (len(table.columns) - 1)]
    lines = [_row([_inline(column) for column in table.columns]), _row(align)]
    lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
    return f"## {_inline(title)}\n\n" + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    badge = f"**{cell.network.badge}** " if cell.network else ""
    note = f" ({_inline(cell.note)})" if cell.note else ""
    text = f"[{_inline(cell.text)}](<{cell.link}>)" if cell.link else _inline(cell.text)
    return f"{badge}{text}{note}"


def _inline(text: str) -> str:
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())

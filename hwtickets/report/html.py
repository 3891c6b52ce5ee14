"""The report as one HTML file: style, charts and library inside, readable offline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hwtickets.report import figures
from hwtickets.report.deployed import deployed_chart, deployed_table, list_deployed
from hwtickets.report.html_parts import (
    absent,
    badge,
    card,
    chart,
    facts,
    grid,
    legend,
    marks_of,
    pair,
    table,
    tied,
)
from hwtickets.report.left_out import (
    ESTIMATED,
    ESTIMATED_HINT,
    WHOLE,
    WHOLE_HINT,
    estimated_table,
    whole_table,
)
from hwtickets.report.networks import Network, budget_limits, list_networks, of_run, quality_split
from hwtickets.report.page import framed, resource
from hwtickets.report.schema import Document, Run
from hwtickets.report.tables import (
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
from hwtickets.report.wording import (
    NOT_MEASURED,
    duration,
    networks_hint,
    notes_of,
    predicted,
    verdicts_of,
    when,
)


def render_html(document: Document) -> str:
    """The whole page. About 5 MB, nearly all of it plotly's script."""
    from plotly.offline import get_plotlyjs

    networks = list_networks(document)
    body = [_head(document, networks), _overview(networks), _deployed(document)]
    body += [_prediction(document, networks)]
    several = len(document.runs) > 1
    for run in document.runs:
        body += [f"<h2>{escape(run.title)}</h2>"] if several else []
        body += _run_cards(run, of_run(networks, run))
    return framed(document.title, body, ["style.css"], [get_plotlyjs(), resource("charts.js")])


def _head(document: Document, networks: Sequence[Network]) -> str:
    about = list(dict.fromkeys(_about(run) for run in document.runs))
    verdicts = [f'<p class="verdict">{tied(line)}</p>' for line in verdicts_of(document, networks)]
    lines = [f'<p class="about">{escape(line)}</p>' for line in about]
    notes = [f'<p class="about">{escape(note)}</p>' for note in notes_of(document)]
    return "\n".join([f"<header><h1>{escape(document.title)}</h1>", *lines, *verdicts, *notes, "</header>"])


def _about(run: Run) -> str:
    device = run.device
    sides = run.task.resolution
    shown = "x".join(map(str, sides)) if isinstance(sides, tuple) else sides
    resolution = f" at {shown} px" if shown else ""
    where = f"{device.name} ({device.runtime}, {device.precision})" + (
        "" if device.measured else f", {predicted(run)}"
    )
    # What stands for a user's own loaders is for the run folder to know.
    own = run.task.name == "custom"
    what = "own task and data" if own else f"{run.task.name} on {run.task.data}{resolution}"
    parts = [what, where, when(run.created)]
    return " · ".join(part for part in parts if part)


def _overview(networks: Sequence[Network]) -> str:
    every = card("Networks", networks_hint(networks), table(networks_table(networks), "networks"))
    split = quality_split(networks)
    figure = figures.latency_accuracy(networks, split)
    if figure is None:
        reason = absent("no network has both a latency and an accuracy")
        return every + card("Latency against accuracy", "", reason)
    shown = [n for n in networks if n.accuracy(split) is not None and n.latency_ms is not None]
    missing = ", ".join(_lacking(network) for network in networks if network not in shown)
    marks = legend(shown, dashed="latency budget" if budget_limits(networks) else "")
    hint = (
        "Up and to the left is better. Bars span the 10th to the 90th percentile (under the mark where"
        " none is seen); a hollow mark is predicted, not measured, and its bar is the expected error."
        " Networks drawn for a share of the dense latency stand where their ratio to it puts them: the"
        " machine was not equally fast at every measurement."
    )
    note = absent(missing) if missing else ""
    return every + card("Latency against accuracy", hint, chart(figure) + marks + note)


def _lacking(network: Network) -> str:
    return f"{network.name} ({'latency' if network.latency_ms is None else 'accuracy'} {NOT_MEASURED})"


def _deployed(document: Document) -> str:
    deployed = list_deployed(document)
    figure = deployed_chart(deployed)
    hint = (
        "Bundles measured with hwtickets benchmark and scored with hwtickets verify, on the device. Colour:"
        " device and runtime. Form: precision. Score: of validation samples, not of the test data above."
    )
    marks = marks_of([(one.badge, one.symbol, one.colour, one.where) for one in deployed]) if figure else ""
    content = (chart(figure) if figure else "") + marks + table(deployed_table(deployed), "networks")
    return card("Deployed: devices, runtimes, precisions", hint, content if deployed else "")


def _prediction(document: Document, networks: Sequence[Network]) -> str:
    figure = figures.predicted_measured(networks)
    reason = absent("no ticket has both a predicted and a measured latency")
    hint = "Bars across: the table's expected error. Bars up and down: 10th to 90th percentile of the runs."
    content = chart(figure) + _prediction_legend(networks) if figure else reason
    left = card("Predicted against measured latency", hint if figure else "", content)
    errors = "".join(dict.fromkeys(facts(accuracy_of_table(run)) for run in document.runs))
    right = card("How far to trust a prediction", "On networks the table was not fitted on.", errors)
    draws = table(draws_table(networks), "draws")
    again = "Over the limit, or well under it: the prediction is corrected, and the next draw made."
    return pair(left, right) + card("Every draw", again, draws)


def _prediction_legend(networks: Sequence[Network]) -> str:
    tickets = [network for network in networks if network.ticket]
    shown = [
        n for n in tickets if n.ticket and n.ticket.predicted_ms is not None and n.measured_ms is not None
    ]
    drawn_again = any(not draw.accepted for n in tickets if n.ticket for draw in n.ticket.draws)
    return legend(shown, dashed="predicted = measured", ring="earlier draw" if drawn_again else "")


def _run_cards(run: Run, networks: Sequence[Network]) -> list[str]:
    kept = _kept(networks) + _left_out(run, networks)
    return [_blocks(networks), kept, _course(run), _checks(run, networks), _origin(run)]


def _blocks(networks: Sequence[Network]) -> str:
    figure = figures.block_times(networks)
    if figure is None:
        return card("Where the time goes", "", absent("no network was profiled"))
    timed = [network for network in networks if network.source.blocks]
    numbers = f"<details><summary>Numbers</summary>{table(blocks_table(networks), '')}</details>"
    hint = "Measured time of each block of the deployed network, before and after."
    run = networks[0].run
    if not run.device.measured:
        hint = f"Time of each block, {predicted(run)}."
    return card("Where the time goes", hint, chart(figure) + legend(timed) + numbers)


def _kept(networks: Sequence[Network]) -> str:
    maps = [
        f"<h4>{badge(network)} {escape(network.name)}</h4>{table(kept_table(network.ticket), 'heat')}"
        for network in networks
        if network.ticket and network.ticket.units
    ]
    hint = "Hidden channels kept of all, for each block and kernel size. A branch at 0 is gone."
    return card("What was kept", hint, grid(maps))


def _left_out(run: Run, networks: Sequence[Network]) -> str:
    whole, estimated = whole_table(run), estimated_table(networks)
    return card(WHOLE, WHOLE_HINT, _folded(whole)) + card(ESTIMATED, ESTIMATED_HINT, _folded(estimated))


def _folded(content: Table) -> str:
    """A table that may be long, behind the number of its rows."""
    inner = table(content, "facts")
    return inner and f"<details><summary>{len(content.rows)} in all</summary>{inner}</details>"


def _course(run: Run) -> str:
    figure = figures.search_course(run)
    if figure is None:
        return ""
    hint = "Dashed: the latency budget." if figure["layout"]["shapes"] else ""
    return card("Course of the search", hint, chart(figure))


def _checks(run: Run, networks: Sequence[Network]) -> str:
    total = duration(sum(stage.seconds for stage in run.stages))
    stages = card("Stages and time", f"{total} in all.", table(stages_table(run), "bars"))
    budgets, verified = table(budgets_table(run), ""), table(verify_table(networks), "")
    right = card("Budgets", "", budgets) + card(
        "Exported network against PyTorch", "On real images.", verified
    )
    return pair(stages, right)


def _origin(run: Run) -> str:
    versions, device = facts_table("Versions", run.versions), device_table("Device", run)
    boxes = [facts(record) for record in (versions, device) if record.rows]
    seed = "" if run.seed is None else f'<p class="hint">Seed {run.seed}.</p>'
    command = f"<pre>{escape(run.command)}</pre>" if run.command else ""
    return card("Versions and device", "", grid(boxes)) + card("How to repeat it", "", seed + command)
